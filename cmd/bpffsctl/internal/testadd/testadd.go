// Package testadd does for tests of bpffsctl what the plugin does for a pod.
package testadd

import (
	"context"

	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

// Add gives the attachment an endpoint in the bpffs at root, with maps of their
// own, and returns its ID.
func Add(ctx context.Context, root string, a bpffs.Attachment, d bpffs.Details, maps ...bpffs.MapDecl) (id uint16, err error) {
	made, err := bpffs.NewMaps(maps)
	if err != nil {
		return 0, err
	}
	defer made.Close()
	e, err := bpffs.CreateEndpoints(ctx, root)
	if err != nil {
		return 0, err
	}
	defer e.Close()
	var names []string
	for _, m := range maps {
		names = append(names, m.Name)
	}
	if id, _, err = e.Allocate(a, "", names...); err == nil {
		_, err = e.PinMaps(id, "", maps, made)
	}
	if err == nil {
		err = e.SetDetails(id, d)
	}
	return id, err
}
