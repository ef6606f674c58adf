package main

import (
	"context"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/cni-bpffs/cni-bpffs/internal/errlist"
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

// GC removes every attachment to this network that the runtime does not name as
// valid. It carries on past errors. Without a list it removes nothing.
func (p *plugin) GC(c call) error {
	keep, sent, err := c.ParseValidAttachments()
	if err != nil {
		return err
	}
	if !sent {
		p.warn("the runtime sent no cni.dev/valid-attachments, so nothing is removed from network %s", c.Name)
		return nil
	}
	ctx := context.Background()
	roots, unseen := p.usableRoots(c)
	err = bpffs.Walk(ctx, roots, func(root string, e *bpffs.Endpoints, err error) error {
		if err != nil {
			return p.tolerate(c, root, err)
		}
		p.warnOfWay(e)
		return e.Collect(ctx, c.Name, func(a bpffs.Attachment) bool {
			return keep[types.GCAttachment{ContainerID: a.ContainerID, IfName: a.IfName}]
		})
	})
	return errlist.Join(append(unseen, err)...)
}
