package doctor

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/cnidirs"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/conflist"
)

// decideCNIVersion says whether the runtime and the plugin know the versions of
// the networks that have our plugin. What the plugin supports may be unknown.
func decideCNIVersion(n networks, r cnidirs.Runtime, supports []string, install command) []Finding {
	var found []Finding
	lib := r.Libcni()
	for _, one := range n.Networks {
		its := effective(one.List, r)
		set := n.forNetwork(one, install, "--cni-version", "1.0.0")
		switch {
		case len(one.Calls()) == 0:
		case len(supports) > 0 && !slices.Contains(supports, its):
			found = append(found, fail(one.Path, fmt.Sprintf("bpffs does not support cniVersion %q: every ADD fails; it supports %s",
				its, strings.Join(supports, ", ")), set)...)
		case lib.Known && conflist.Newer(its, lib.Newest):
			found = append(found, fail(one.Path, fmt.Sprintf("cniVersion %s is too new for %v, which supports %s: it says that the network is ready, but every pod fails",
				its, r, lib.Newest), set)...)
		case !lib.Known && conflist.Newer(its, "1.0.0"):
			found = append(found, pass(one.Path, fmt.Sprintf("cniVersion %s needs a runtime with libcni 1.2 or newer; %v", its, r))...)
		default:
			found = append(found, pass(one.Path, "cniVersion "+its)...)
		}
	}
	return or(found, n.dir, "no network has bpffs")
}

// effective returns the cniVersion that the runtime gives to the plugins of a
// network: what it says of one that it has loaded, else what its libcni would take.
func effective(list conflist.List, r cnidirs.Runtime) string {
	if loaded, ok := r.Status.Network(list.Name); ok {
		return loaded.CNIVersion
	}
	return list.Version(r.Libcni().Newest)
}
