package doctor

import (
	"context"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/inventory"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/output"
)

// checkViews looks whether what pods saw in their volumes is still mounted, and whether
// a record names all that the plugin mounted there.
func checkViews(ctx context.Context, n *node) []Finding {
	const looked = "volumes of pods"
	var found []Finding
	for _, s := range n.sites() {
		if because := s.hindered(); because != "" {
			return notLooked(s.Path, because)
		}
		if len(s.seen.Unreadable) > 0 {
			return notLooked(s.Path, "records")
		}
		found = append(found, s.decideLost(inventory.VolumeMissing, s.seen.Records, "no longer mounted", "directory in volumes of pods",
			"directories in volumes of pods", "; somebody unmounted it")...)
	}
	left, err := inventory.Unrecorded(func() ([]inventory.Record, error) { return n.records(ctx) })
	switch {
	case err != nil:
		found = append(found, warn(looked, "cannot tell what is mounted there: "+err.Error(), "do what this says, then: bpffsctl doctor")...)
	case len(left) > 0 && n.Root == "": // else another bpffs may have the records
		found = append(found, warn(looked, output.Count(len(left), "mount", "mounts")+" of the plugin that no record names: "+list(left)+
			"; no DEL unmounts them, and kubelet cannot remove the volumes of deleted pods",
			look("findmnt", left[0])+ifUnused([]string{"umount"}, some(left)...)+again(len(left)))...)
	}
	return or(found, looked, "every recorded mount is there")
}
