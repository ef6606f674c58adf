package main

import (
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

// Del removes the pins and the endpoint ID of the attachment wherever they are.
// It succeeds where there is nothing. Of the configuration it uses only the name
// of the network and the roots.
func (p plugin) Del(c *config, r request) error {
	a := attachment(c, r)
	return p.eachRecords(p.usableRoots(c), "", func(_ bpffs.MapDir, e *bpffs.Endpoints) error {
		return e.Release(a)
	})
}
