package main

import (
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

// Del removes the pins and the endpoint ID of the attachment wherever they are.
// It succeeds where there is nothing. Of the configuration it uses only the name
// of the network and the roots.
func (p *plugin) Del(c call) error {
	return p.eachRecords(p.usableRoots(c), func(e *bpffs.Endpoints) error {
		return e.Release(c.attachment())
	})
}
