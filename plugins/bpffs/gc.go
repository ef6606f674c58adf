package main

import (
	"github.com/containernetworking/cni/pkg/types"

	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

// GC removes every attachment to this network that the runtime does not name as
// valid. It carries on past errors. Without a list it removes nothing.
func (p *plugin) GC(c call) error {
	sent, err := c.ParseValidAttachments()
	if err != nil {
		return err
	}
	if !sent {
		p.warn("the runtime sent no cni.dev/valid-attachments, so nothing is removed from network %s", c.Name)
		return nil
	}
	keep := make(map[types.GCAttachment]bool, len(c.ValidAttachments))
	for _, a := range c.ValidAttachments {
		keep[a] = true
	}
	return p.eachRecords(p.usableRoots(c), func(e *bpffs.Endpoints) error {
		return e.Collect(c.Name, func(a bpffs.Attachment) bool {
			return keep[types.GCAttachment{ContainerID: a.ContainerID, IfName: a.IfName}]
		})
	})
}
