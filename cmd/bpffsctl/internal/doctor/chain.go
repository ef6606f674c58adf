package doctor

import (
	"context"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/output"
)

func checkChain(_ context.Context, n *node) []Finding {
	return decideChain(n.networks(), n.reinstall())
}

// decideChain says whether the plugin is called once, and after the one that
// makes the interface.
func decideChain(n networks, reinstall string) []Finding {
	var found []Finding
	for _, one := range n.all {
		called, _ := one.uses()
		if len(called) > 0 && called[0].at == 0 {
			found = append(found, fail(called[0].path, "bpffs is the first plugin of the network "+one.List.Name+
				", and every ADD fails: it comes after the one that makes the interface",
				"put it behind that: ${EDITOR:-vi} "+output.Quote(called[0].path))...)
		}
		if len(called) > 1 {
			found = append(found, warn(called[1].path, "bpffs is called a second time in the network "+one.List.Name+
				", after "+called[0].path+": the last one decides which maps a pod has", reinstall)...)
		}
	}
	if found != nil {
		return found
	}
	if len(n.uses()) == 0 {
		return pass(n.dir, "no network has bpffs")
	}
	return pass(n.dir, output.Count(len(n.uses()), "call", "calls")+" of bpffs, after the plugin that makes the interface")
}
