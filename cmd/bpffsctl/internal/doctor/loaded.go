package doctor

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/cnidirs"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/conflist"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/output"
)

func checkLoaded(_ context.Context, n *node) []Finding {
	return decideLoaded(n.networks(), n.runtime().Runtime)
}

// decideLoaded says which networks the runtime has loaded, and whether it has seen
// what their files say of our plugin. Drop-in files are another check's.
func decideLoaded(n networks, r cnidirs.Runtime) (found []Finding) {
	for _, loaded := range r.Status.Loaded {
		is := loaded.Has(conflist.PluginType)
		for _, one := range n.all {
			_, inList := one.List.Ours()
			if called, _ := one.uses(); one.List.Name != loaded.Name || is == (len(called) > 0) || len(called) > 0 && !inList {
				continue
			}
			does := "does not call"
			if is {
				does = "still calls"
			}
			found = append(found, fail(one.Path, fmt.Sprintf("%v has not read it since it was changed, and %s bpffs", r, does), lookAgain(n.dir))...)
		}
		if found == nil {
			found = pass(r.Socket, fmt.Sprintf("%v has loaded %s, cniVersion %s: %s", r, loaded.Name, loaded.CNIVersion, strings.Join(loaded.Plugins, ", ")))
		}
	}
	if found == nil {
		found = pass("the runtime", "it does not say which networks it has loaded")
	}
	return found
}

// lookAgain returns what makes containerd read its networks again, which notices a
// file that goes away.
func lookAgain(dir string) string {
	path := filepath.Join(dir, ".bpffs-look")
	return output.Command("touch", path) + " && " + output.Command("rm", path) + ", or restart the runtime"
}
