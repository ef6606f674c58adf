package integration

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/moby/sys/mountinfo"
	"github.com/vishvananda/netns"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// Where things are on a node. /sys, /run and /var/lib are its own.
const (
	top         = "../.."
	binDir      = "/run/node/bin" // bin/ of the source tree
	cniDir      = binDir + "/cni"
	ownDir      = "/run/node/own" // the other programs of the test binary
	confDir     = "/run/node/net.d"
	recordFile  = "/run/node/records"
	customDir   = "/run/custom" // for roots that are configured
	customRoot  = customDir + "/root"
	defaultRoot = "/sys/fs/bpf"
	fallback    = "/run/cilium/bpffs"
)

// newNode gives the test a node on which nothing is mounted for BPF, until the
// test ends, and returns the plugin on it.
func newNode(t *testing.T) plugin {
	t.Helper()
	testns.Need(t)
	needTools(t)
	self := openSelf(t) // before a mount hides it
	for _, m := range []struct{ fsType, target string }{
		{"sysfs", "/sys"}, {"tmpfs", "/run"}, {"tmpfs", "/var/lib"},
	} {
		testns.Mount(t, m.fsType, m.target, "")
	}
	for _, dir := range []string{binDir, ownDir, confDir, customDir} {
		must(t, os.MkdirAll(dir, 0o755))
	}
	testns.Bind(t, filepath.Join(top, "bin"), binDir)
	for _, name := range []string{recorder, noStatmount} {
		program := filepath.Join(ownDir, name)
		must(t, os.WriteFile(program, nil, 0o600))
		testns.Bind(t, self, program)
	}
	return plugin{argv: []string{filepath.Join(binDir, "bpffs")}}
}

// openSelf returns a path of the test binary in this mount namespace, until the
// test ends.
func openSelf(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	must(t, err)
	f, err := os.Open(path)
	must(t, err)
	t.Cleanup(func() { must(t, f.Close()) })
	return fmt.Sprintf("/proc/self/fd/%d", f.Fd())
}

func needTools(t *testing.T) {
	t.Helper()
	var errs []error
	for _, name := range []string{"bpffs", "cnitool", "bridge", "host-local"} {
		_, err := os.Stat(filepath.Join(top, "bin/cni", name))
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		t.Fatalf("run make tools: %v", err)
	}
}

// newPod makes a network namespace and returns its path.
func newPod(t *testing.T, name string) string {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // until the goroutine ends, and the thread with it
		ns, err := netns.NewNamed(name)
		done <- errors.Join(err, ns.Close())
	}()
	must(t, <-done)
	return filepath.Join("/run/netns", name)
}

// bpfMounts returns where a bpffs is mounted on the node.
func bpfMounts(t *testing.T) []string {
	t.Helper()
	mounts, err := mountinfo.GetMounts(mountinfo.FSTypeFilter("bpf"))
	must(t, err)
	var points []string
	for _, m := range mounts {
		points = append(points, m.Mountpoint)
	}
	return points
}

func mkdir(t *testing.T, path string) {
	t.Helper()
	must(t, os.MkdirAll(path, 0o700))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// contains reports whether text has all the parts.
func contains(text string, parts []string) bool {
	for _, part := range parts {
		if !strings.Contains(text, part) {
			return false
		}
	}
	return true
}
