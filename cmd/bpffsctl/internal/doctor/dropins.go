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
		for _, c := range other.Mentions() {
			found = append(found, fail(c.Path, "there is no network "+c.Network+", so no runtime reads this file",
				"move it into the directory with the network's name, or: "+install("--mode", "conflist", "--plugin-conf", c.Path)+" && "+output.Command("rm", c.Path))...)
		}
	}
	for _, one := range n.Networks {
		inline := n.forNetwork(one, install, "--mode", "conflist")
		for _, c := range one.Mentions() {
			if c.DropIn {
				found = append(found, decideDropIn(c, r, inline)...)
			}
		}
	}
	for _, chain := range n.Chains {
		for _, f := range chain.Broken() {
			found = append(found, fail(f.Path, "Multus leaves out its chain "+chain.List.Name+" because of this file, and pods run without bpffs: "+reason(f), fixFile(f))...)
		}
		for _, c := range chain.Mentions() {
			found = append(found, pass(c.Path, "Multus reads it, as a part of its chain "+c.Network)...)
		}
	}
	return or(found, n.dir, "bpffs has no drop-in file")
}

func decideDropIn(c conflist.Call, r cnidirs.Runtime, inline string) []Finding {
	loaded, asked := r.Status.Network(c.Network)
	switch does := r.DropIns(); {
	case c.Forbidden:
		return fail(c.Path, "the list of the network "+c.Network+" says loadOnlyInlinedPlugins, so no runtime reads this file", inline)
	case does == cri.DropInsWithoutDEL:
		return fail(c.Path, r.String()+" calls it for ADD, but never for DEL: the maps of every pod stay", inline)
	case loaded.Has(conflist.PluginType), !asked && does == cri.DropInsRead:
		return pass(c.Path, r.String()+" reads it")
	case does == cri.DropInsIgnored:
		return fail(c.Path, r.String()+" ignores drop-in files: pods run without bpffs", inline)
	case asked:
		return fail(c.Path, r.String()+" has not read it yet: pods run without bpffs", lookAgain(filepath.Dir(filepath.Dir(c.Path))))
	}
	return warn(c.Path, "cannot tell whether the runtime reads drop-in files: "+r.String(), "if pods run without bpffs: "+inline)
}
