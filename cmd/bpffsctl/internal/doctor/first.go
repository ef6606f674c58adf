package doctor

import (
	"slices"
	"strings"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/conflist"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/cri"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/output"
)

// decideNetworks says which network the runtime uses, and whether it has our
// plugin.
func decideNetworks(n networks, r cri.Version, install command) []Finding {
	if n.err != nil {
		return fail(n.dir, n.err.Error(), output.Command("ls", "-la", n.dir))
	}
	if len(n.Networks)+len(n.Chains) == 0 {
		return fail(n.dir, "there is no network: the main plugin has not written one, and no pod can start",
			"install the main plugin, then: "+install())
	}
	var found []Finding
	for i, one := range n.Networks {
		for _, f := range one.Broken() {
			found = append(found, decideBroken(f, one, i == 0, r)...)
		}
	}
	first, ok := n.First(r.PassesBroken(), r.DropIns() == cri.DropInsIgnored)
	if !ok && len(n.Networks) > 0 {
		return found
	}
	return append(found, decideFirst(n, first, install)...)
}

// decideBroken says what a file that cannot be used does to the network.
func decideBroken(f conflist.File, one conflist.Network, isFirst bool, r cri.Version) []Finding {
	say, what := warn, "it is not used"
	switch {
	case one.Err == nil && r.DropIns() == cri.DropInsIgnored:
		what = r.String() + " does not read it; other runtimes could not use the network " + one.List.Name
	case one.Err == nil:
		say, what = fail, "no pod of the network "+one.List.Name+" can start: a runtime that reads this drop-in file cannot use it"
	case isFirst && r.PassesBroken():
		what = r.String() + " skips it, and takes the next network"
	case isFirst:
		say, what = fail, "runtimes take the first file of the directory, and cannot use this one"
	}
	return say(f.Path, what+": "+reason(f), fixFile(f))
}

// reason returns why the file cannot be used, without its path.
func reason(f conflist.File) string { return strings.TrimPrefix(f.Err.Error(), f.Path+": ") }

// fixFile returns what to do about a file that cannot be used; nothing in it is lost.
func fixFile(f conflist.File) string {
	return "fix it: ${EDITOR:-vi} " + output.Quote(f.Path) + ", or: " + output.Command("mv", f.Path, f.Path+".bad")
}

// decideFirst says whether the network that the runtime uses has our plugin.
func decideFirst(n networks, first conflist.Network, install command) []Finding {
	for _, chain := range n.Chains {
		if called := chain.Calls(); len(called) > 0 {
			return pass(called[0].Path, "Multus calls the chain "+chain.List.Name+" for every pod, and it has bpffs")
		}
	}
	if len(n.Networks) == 0 {
		return fail(n.dir, "there is no network, and no chain of Multus has bpffs", install("--network", n.Chains[0].List.Name, "--mode", "drop-in"))
	}
	uses := "the runtime uses this network, " + first.List.Name
	all, called := n.calls(), first.Calls()
	main, makes := first.Plugins().Main()
	delegates := conflist.IsMultus(main.Type)
	switch {
	case len(called) > 0:
		return pass(first.Path, uses+", and it has bpffs, in "+called[0].Path)
	case !makes:
		return fail(first.Path, uses+", because it is the first of the directory, and none of its plugins makes an interface",
			"have the main plugin's file come first: "+output.Command("mv", first.Path, first.Path+".bad"))
	case len(all) > 0 && delegates:
		return pass(all[0].Path, "called by the runtime's network "+first.List.Name+", if its configuration says so; it has bpffs")
	case len(all) > 0:
		return fail(first.Path, uses+", because it is the first of the directory; bpffs is only in "+all[0].Path, n.addTo(first, delegates, install))
	}
	return fail(first.Path, uses+", which does not have bpffs: pods run without it", n.addTo(first, delegates, install))
}

// addTo returns what adds our plugin to the network, or to one that Multus calls for it.
// A single plugin's file takes no other.
func (n networks) addTo(one conflist.Network, delegates bool, install command) string {
	for _, other := range n.Networks {
		if _, makes := other.List.Main(); makes && !other.Single && delegates == (other.Path != one.Path) {
			return n.forNetwork(other, install)
		}
	}
	if !one.Single {
		return install()
	}
	return "have the main plugin write a list; on OpenShift: " + install("--network", conflist.VendorChain, "--mode", "drop-in")
}

// A command returns a line for the shell, with more words at its end.
type command func(more ...string) string

// forNetwork returns the command with the name of the network, unless that is the one
// which it takes by itself.
func (n networks) forNetwork(one conflist.Network, install command, more ...string) string {
	if one.List.Name != n.Networks[0].List.Name {
		more = append([]string{"--network", one.List.Name}, more...)
	}
	return install(more...)
}

// install returns what puts the plugin where the runtime finds it.
func (n *node) install(more ...string) string {
	return output.Command(slices.Concat([]string{"bpffsctl", "install"}, n.dirs().Flags(), more)...)
}
