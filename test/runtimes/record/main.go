// Command record is a CNI plugin for the end of a chain: it appends each call to
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

	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

// A call is what is recorded, one line of JSON.
type call struct {
	Command     string
	ContainerID string
	NetNS       string
	MountNS     string   // the plugin's
	PrevResult  bool     // whether there is one
	Paths       []string // of local maps, in prevResult
}

// config is what the plugin reads of its network configuration.
type config struct {
	Log        string          `json:"log"`     // the file to append to
	FailAdd    string          `json:"failAdd"` // while this file exists, ADD fails
	PrevResult json.RawMessage `json:"prevResult"`
}

func main() {
	skel.PluginMainFuncs(skel.CNIFuncs{Add: add, Del: record, Check: record, GC: record, Status: record},
		version.PluginSupports("0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"), "record")
}

func add(args *skel.CmdArgs) error {
	if err := record(args); err != nil {
		return err
	}
	var c config
	if err := json.Unmarshal(args.StdinData, &c); err != nil {
		return err
	}
	if _, err := os.Stat(c.FailAdd); !errors.Is(err, fs.ErrNotExist) {
		const failed = 150
		return types.NewError(failed, "record was told to fail", "")
	}
	_, err := io.WriteString(os.Stdout, string(c.PrevResult)+"\n")
	return err
}

func record(args *skel.CmdArgs) error {
	var c config
	if err := json.Unmarshal(args.StdinData, &c); err != nil {
		return fmt.Errorf("reading the network configuration: %w", err)
	}
	mountNS, err := os.Readlink("/proc/self/ns/mnt")
	if err != nil {
		return err
	}
	maps, err := bpffs.LocalMaps(c.PrevResult)
	if err != nil && c.PrevResult != nil {
		return err
	}
	line := call{os.Getenv("CNI_COMMAND"), args.ContainerID, args.Netns, mountNS, c.PrevResult != nil, nil}
	for _, m := range maps {
		line.Paths = append(line.Paths, m.Path)
	}
	return line.append(c.Log)
}

// append writes the call with one system call, so that calls at the same time
// do not mix.
func (c call) append(file string) error {
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	return json.NewEncoder(f).Encode(c)
}
