// Command downstream is the smallest CNI plugin that uses what bpffs hands on:
// chained after it, ADD prints the path of each of the container's maps to
// standard error and passes the result on.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"
	types100 "github.com/containernetworking/cni/pkg/types/100"
	"github.com/containernetworking/cni/pkg/version"

	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

func main() {
	nothing := func(*skel.CmdArgs) error { return nil }
	skel.PluginMainFuncs(skel.CNIFuncs{
		Add:    func(args *skel.CmdArgs) error { return add(args.StdinData, os.Stdout, os.Stderr) },
		Del:    nothing,
		Check:  nothing,
		GC:     nothing,
		Status: nothing,
	}, version.PluginSupports("0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"), "downstream")
}

// add reports the local maps in the prevResult of the network configuration and
// prints that result.
func add(stdin []byte, stdout, stderr io.Writer) error {
	var conf types.PluginConf
	if err := json.Unmarshal(stdin, &conf); err != nil {
		return fmt.Errorf("reading the network configuration: %w", err)
	}
	if err := version.ParsePrevResult(&conf); err != nil {
		return err
	}
	result, err := types100.NewResultFromResult(conf.PrevResult)
	if err != nil {
		return err
	}
	for _, m := range bpffs.LocalMaps(result) {
		fmt.Fprintf(stderr, "downstream: map %s of endpoint %d: %s\n", m.Name, m.EndpointID, m.Path)
	}
	return conf.PrevResult.PrintTo(stdout)
}
