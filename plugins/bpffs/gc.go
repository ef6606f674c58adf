package main

import (
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

// GC removes every attachment to this network that the runtime does not name as
// valid. It carries on past errors. Without a list it removes nothing.
func (p plugin) GC(c *config, _ request) error {
	valid, sent, err := c.validAttachments()
	if err != nil {
		return err
	}
	if !sent {
		p.warn("the runtime sent no cni.dev/valid-attachments, so nothing is removed from network %s", c.network)
		return nil
	}
	keep := make(map[gcAttachment]bool, len(valid))
	for _, v := range valid {
		keep[v] = true
	}
	return p.eachRecords(p.usableRoots(c), "", func(_ bpffs.MapDir, e *bpffs.Endpoints) error {
		return e.Collect(c.network, func(a bpffs.Attachment) bool {
			return keep[gcAttachment{a.ContainerID, a.IfName}]
		})
	})
}
