package doctor

import (
	"context"
	"path/filepath"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/cri"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/output"
)

func checkDropIns(_ context.Context, n *node) []Finding {
	return decideDropIns(n.networks(), n.runtime().Version, output.Command(append(n.install(), "--mode", "conflist")...))
}

// decideDropIns says whether the runtime reads the drop-in files.
func decideDropIns(n networks, r cri.Version, inline string) []Finding {
	var found []Finding
	for _, path := range n.strayed {
		found = append(found, fail(path, "there is no network "+filepath.Base(filepath.Dir(path))+", so that nobody reads this file",
			"move it into the directory that is called like the network, or: "+output.Command("rm", path)+" && "+inline)...)
	}
	for _, one := range n.all {
		called, forbidden := one.uses()
		for _, u := range forbidden {
			found = append(found, fail(u.path, one.Path+" says loadOnlyInlinedPlugins, so that nobody reads this file", inline)...)
		}
		for _, u := range called {
			if u.dropIn {
				found = append(found, decideDropIn(u, r, inline)...)
			}
		}
	}
	if found == nil {
		found = pass(n.dir, "no drop-in file of ours, which not every runtime would read")
	}
	return found
}

func decideDropIn(u use, r cri.Version, inline string) []Finding {
	switch {
	case !r.Libcni().Known:
		return warn(u.path, "it is not known whether the runtime reads drop-in files: "+r.String(),
			"if pods run without bpffs: "+inline)
	case !r.Libcni().DropIns:
		return fail(u.path, r.String()+" ignores drop-in files: pods run without bpffs", inline)
	}
	return pass(u.path, r.String()+" reads it")
}
