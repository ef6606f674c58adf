// Command skelnoop is a plugin that does nothing: what it costs is what every
// plugin built on skel pays.
package main

import (
	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/version"
)

func main() {
	nothing := func(*skel.CmdArgs) error { return nil }
	skel.PluginMainFuncs(skel.CNIFuncs{
		Add: nothing, Check: nothing, Del: nothing, GC: nothing, Status: nothing,
	}, version.All, "CNI plugin skelnoop")
}
