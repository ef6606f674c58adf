package doctor

import (
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/output"
)

// decideChain says whether the plugin is called once, and after the one that
// makes the interface.
func decideChain(n networks, install command) []Finding {
	var found []Finding
	for _, one := range n.Networks {
		called := one.Calls()
		if len(called) > 0 && one.Plugins().OursFirst() {
			fix := "put it behind that: ${EDITOR:-vi} " + output.Quote(called[0].Path)
			if _, makes := one.List.Main(); makes && !called[0].DropIn {
				fix = n.forNetwork(one, install)
			}
			found = append(found, fail(called[0].Path, "bpffs comes before the plugin that makes the interface of the network "+one.List.Name+
				": ADD fails, or the plugins after it do not get the maps' paths", fix)...)
		}
		if len(called) > 1 {
			found = append(found, warn(called[1].Path, "bpffs is called a second time in the network "+one.List.Name+
				", after "+called[0].Path+": the last call decides which maps a pod has", n.forNetwork(one, install))...)
		}
	}
	if len(n.calls()) == 0 {
		return pass(n.dir, "no network has bpffs")
	}
	return or(found, n.dir, output.Count(len(n.calls()), "call", "calls")+" of bpffs, after the plugin that makes the interface")
}
