// Command record is a CNI plugin for any place in a chain: it appends each call to
// a file and passes the result on as it is. While another file exists, its ADD
// fails.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"
	"github.com/containernetworking/cni/pkg/version"

	"github.com/cni-bpffs/cni-bpffs/test/internal/record"
)

func main() {
	note := func(args *skel.CmdArgs) error {
		_, err := note(args)
		return err
	}
	skel.PluginMainFuncs(skel.CNIFuncs{Add: add, Del: note, Check: note, GC: note, Status: note},
		version.PluginSupports("0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"), "record")
}

func add(args *skel.CmdArgs) error {
	c, err := note(args)
	if err != nil {
		return err
	}
	if _, err := os.Stat(c.FailAdd); !errors.Is(err, fs.ErrNotExist) {
		const failed = 150
		return types.NewError(failed, "record was told to fail", "")
	}
	_, err = io.WriteString(os.Stdout, string(c.PrevResult)+"\n")
	return err
}

// note appends the call to the file of its configuration, which it returns.
func note(args *skel.CmdArgs) (c record.Config, err error) {
	if err := json.Unmarshal(args.StdinData, &c); err != nil {
		return c, fmt.Errorf("reading the network configuration: %w", err)
	}
	mountNS, err := os.Readlink("/proc/self/ns/mnt")
	if err != nil {
		return c, err
	}
	call := record.Call{
		Command: os.Getenv("CNI_COMMAND"), ContainerID: args.ContainerID, NetNS: args.Netns,
		MountNS: mountNS, Label: c.Label, PrevResult: c.PrevResult,
	}
	return c, call.Append(c.Log)
}
