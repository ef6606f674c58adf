package doctor

import (
	"context"
	"strings"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/output"
)

func checkNetworks(_ context.Context, n *node) []Finding {
	return decideNetworks(n.networks(), n.reinstall())
}

// decideNetworks says which network the runtime uses, and whether it has our
// plugin.
func decideNetworks(n networks, reinstall string) []Finding {
	if n.err != nil {
		return fail(n.dir, n.err.Error(), output.Command("ls", "-la", n.dir))
	}
	if len(n.all) == 0 {
		return fail(n.dir, "there is no network: the main plugin has not written one, and no pod can start",
			"install the main plugin, then: "+reinstall)
	}
	var found []Finding
	for i, one := range n.all {
		if one.Err != nil {
			say, what := warn, "it is not used"
			if i == 0 {
				say, what = fail, "runtimes take the first file of the directory, and cannot use this one"
			}
			found = append(found, say(one.Path, what+": "+one.Err.Error(), "fix it, or: "+output.Command("mv", one.Path, one.Path+".bad"))...)
		}
	}
	if n.all[0].Err != nil {
		return found
	}
	return append(found, decideFirst(n, reinstall)...)
}

func decideFirst(n networks, reinstall string) []Finding {
	first, all := n.all[0], n.uses()
	called, _ := first.uses()
	switch {
	case len(called) > 0:
		return pass(first.Path, "the runtime uses this network, "+first.List.Name+", and it has bpffs, in "+called[0].path)
	case len(all) > 0 && first.delegates():
		return pass(all[0].path, "called by the runtime's network "+first.List.Name+", if that is told to; it has bpffs")
	case len(all) > 0:
		return fail(first.Path, "the runtime uses this network, "+first.List.Name+
			", because it is the first of the directory; bpffs is only in "+all[0].path, reinstall)
	}
	return fail(first.Path, "the runtime uses this network, "+first.List.Name+", and it does not have bpffs: pods run without", reinstall)
}

// delegates reports whether the network calls others, as that of Multus does.
func (n network) delegates() bool {
	main, ok := n.List.Main()
	return ok && strings.HasPrefix(main.Type, "multus")
}

// reinstall is how to put the plugin where the runtime finds it.
func (n *node) reinstall() string {
	return output.Command(n.install()...)
}

func (n *node) install() []string {
	return append([]string{"bpffsctl", "install"}, n.dirs().Flags()...)
}
