// Command bpffs is a chained CNI plugin that prepares the BPF file system for
// every container: it mounts bpffs on the node if it is missing, gives the
// container a node-unique endpoint ID, and hands the paths of the container's
// own maps to the plugins after it. Its configuration is described in
// docs/configuration.md.
package main

import (
	"os"

	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/version"
)

// buildVersion is set by the linker; see the Makefile.
var buildVersion = "development"

func main() {
	p := plugin{stdout: os.Stdout, stderr: os.Stderr}
	skel.PluginMainFuncs(skel.CNIFuncs{
		Add:    coded(p.Add),
		Del:    coded(p.Del),
		Check:  coded(p.Check),
		GC:     coded(p.GC),
		Status: codedStatus(p.Status),
	}, version.PluginSupports("0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"), "bpffs "+buildVersion)
}
