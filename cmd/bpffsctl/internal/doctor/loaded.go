package doctor

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/cnidirs"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/conflist"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/cri"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/output"
)

// decideLoaded says which networks the runtime has loaded, and whether that is what
// the files say of our plugin.
func decideLoaded(n networks, r cnidirs.Runtime) (found []Finding) {
	for _, loaded := range r.Status.Loaded {
		found = append(found, decideOneLoaded(loaded, n, r)...)
	}
	return or(found, "the runtime", "it does not say that it has loaded a network")
}

func decideOneLoaded(loaded cri.Network, n networks, r cnidirs.Runtime) []Finding {
	is := fmt.Sprintf("%v has loaded the network %s, cniVersion %s, with %s", r, loaded.Name, loaded.CNIVersion, strings.Join(loaded.Plugins, ", "))
	i := slices.IndexFunc(n.Networks, func(one conflist.Network) bool { return one.List.Name == loaded.Name })
	switch {
	case i < 0 && slices.ContainsFunc(loaded.Plugins, conflist.IsMultus):
		return pass(r.Socket, is+"; Multus reads its networks elsewhere")
	case i < 0:
		return warn(r.Socket, is+", and no file in "+n.dir+" says so", lookAgain(n.dir)+"; or give the runtime's directory with --conf-dir")
	}
	one := n.Networks[i]
	_, inList := one.List.Ours()
	switch has := loaded.Has(conflist.PluginType); {
	case has && len(one.Calls()) == 0:
		return fail(one.Path, is+", and has not read that bpffs was taken out", lookAgain(n.dir))
	case !has && inList: // a drop-in file is another check's
		return fail(one.Path, is+", and has not read that it has bpffs: pods run without it", lookAgain(n.dir))
	}
	return pass(one.Path, is)
}

// lookAgain returns what makes containerd read its networks again, which notices a
// file that goes away.
func lookAgain(dir string) string {
	path := filepath.Join(dir, ".bpffs-look")
	return output.Command("touch", path) + " && " + output.Command("rm", path) + ", or restart the runtime"
}
