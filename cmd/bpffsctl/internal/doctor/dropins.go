package doctor

import (
	"path/filepath"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/cnidirs"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/conflist"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/cri"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/output"
)

// decideDropIns says whether the runtime reads the drop-in files.
func decideDropIns(n networks, r cnidirs.Runtime, install command) []Finding {
	var found []Finding
	for _, other := range n.Others {
		for _, u := range usesOf(other) {
			found = append(found, fail(u.path, "there is no network "+u.network+", so that nobody reads this file",
				"move it into the directory that is called like the network, or: "+install("--mode", "conflist", "--plugin-conf", u.path)+" && "+output.Command("rm", u.path))...)
		}
	}
	for _, one := range n.Networks {
		inline := n.forNetwork(one, install, "--mode", "conflist")
		for _, u := range usesOf(one) {
			if u.dropIn {
				found = append(found, decideDropIn(u, r, inline)...)
			}
		}
	}
	for _, chain := range n.Chains {
		for _, f := range chain.Broken() {
			found = append(found, fail(f.Path, "Multus leaves out its chain "+chain.List.Name+" because of this file, and pods run without bpffs: "+reason(f), fixFile(f))...)
		}
		for _, u := range usesOf(chain) {
			found = append(found, pass(u.path, "Multus reads it, as a part of its chain "+u.network)...)
		}
	}
	return or(found, n.dir, "no drop-in file of ours, which not every runtime would read")
}

func decideDropIn(u use, r cnidirs.Runtime, inline string) []Finding {
	loaded, asked := r.Status.Network(u.network)
	switch does := r.DropIns(); {
	case u.forbidden():
		return fail(u.path, "the list of the network "+u.network+" says loadOnlyInlinedPlugins, so that nobody reads this file", inline)
	case does == cri.DropInsWithoutDEL:
		return fail(u.path, r.String()+" calls it for ADD, but never for DEL: the maps of every pod stay", inline)
	case loaded.Has(conflist.PluginType), !asked && does == cri.DropInsRead:
		return pass(u.path, r.String()+" reads it")
	case does == cri.DropInsIgnored:
		return fail(u.path, r.String()+" ignores drop-in files: pods run without bpffs", inline)
	case asked:
		return fail(u.path, r.String()+" has not read it yet: pods run without bpffs", lookAgain(filepath.Dir(filepath.Dir(u.path))))
	}
	return warn(u.path, "it is not known whether the runtime reads drop-in files: "+r.String(), "if pods run without bpffs: "+inline)
}
