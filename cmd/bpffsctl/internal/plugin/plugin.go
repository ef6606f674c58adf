// Package plugin calls the plugin's binary as a container runtime does.
package plugin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/containernetworking/cni/libcni"
	"github.com/containernetworking/cni/pkg/invoke"
	"github.com/containernetworking/cni/pkg/types"

	"github.com/cni-bpffs/cni-bpffs/internal/netconf"
)

// ErrConfig says that the plugin has refused a configuration (error code 7 of the
// CNI specification).
var ErrConfig = errors.New("the plugin refuses its configuration")

// unusedRoot is a place for a bpffs where nothing is and nobody can make anything.
const unusedRoot = "/proc/bpffsctl"

// call runs the binary until ctx is done. Its output may be held open for longer,
// by a process that the binary has started: invoke would wait for that.
func call[T any](ctx context.Context, do func(*invoke.DefaultExec) (T, error)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	done := make(chan answer, 1)
	go func() {
		value, err := do(&invoke.DefaultExec{RawExec: &invoke.RawExec{}})
		done <- answer{value, err}
	}()
	select {
	case a := <-done:
		return a.value, a.err
	case <-ctx.Done():
		return *new(T), fmt.Errorf("it did not end in time: %w", ctx.Err())
	}
}

// About returns what the binary says to a person who calls it, on standard error.
func About(ctx context.Context, path string) (string, error) {
	return call(ctx, func(exec *invoke.DefaultExec) (string, error) {
		var said bytes.Buffer
		exec.Stderr = &said
		_, err := exec.ExecPlugin(ctx, path, nil, []string{"PATH=" + os.Getenv("PATH")})
		return said.String(), err
	})
}

// Versions returns the versions of the CNI specification that the binary supports.
func Versions(ctx context.Context, path string) ([]string, error) {
	return call(ctx, func(exec *invoke.DefaultExec) ([]string, error) {
		info, err := invoke.GetVersionInfo(ctx, path, exec)
		if err != nil {
			return nil, err
		}
		return info.SupportedVersions(), nil
	})
}

// Check asks the binary what it has against a configuration of a network:
// [ErrConfig], or that it cannot be asked. It is asked by STATUS, in a version of
// the specification that has it, and for a root where nothing is: otherwise it
// would open the records, and remove what a killed process left. That no bpffs can
// be mounted there, which it says of a configuration that it accepts, is no error.
func Check(ctx context.Context, path, network, version string, config []byte) error {
	conf, err := libcni.NetworkPluginConfFromBytes(config)
	if err != nil {
		return err
	}
	keys := map[string]any{"name": network, "cniVersion": version}
	if c, err := netconf.Parse(config); err == nil && c.ParseRoots() == nil {
		keys["bpfRoot"] = unusedRoot // else it is refused because of the roots
	}
	if conf, err = libcni.InjectConf(conf, keys); err != nil {
		return err
	}
	_, err = call(ctx, func(exec *invoke.DefaultExec) (struct{}, error) {
		args := &invoke.Args{Command: "STATUS", Path: filepath.Dir(path)}
		return struct{}{}, invoke.ExecPluginWithoutResult(ctx, path, conf.Bytes, args, exec)
	})
	answer, ok := errors.AsType[*types.Error](err)
	switch {
	case ok && answer.Code == types.ErrInvalidNetworkConfig:
		return fmt.Errorf("%w: %s", ErrConfig, answer.Msg)
	case ok && answer.Code == types.ErrPluginNotAvailable:
		return nil
	}
	return err
}
