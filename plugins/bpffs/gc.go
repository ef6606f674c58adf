package main

import (
	"errors"

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
	return p.eachRecords(p.usableRoots(c), "", func(_ bpffs.MapDir, e *bpffs.Endpoints) error {
		return collect(e, c.network, valid)
	})
}

// collect releases the attachments to the network that are not valid.
func collect(e *bpffs.Endpoints, network string, valid []gcAttachment) error {
	all, err := e.Attachments(network)
	errs := []error{err}
	keep := make(map[gcAttachment]bool, len(valid))
	for _, v := range valid {
		keep[v] = true
	}
	for _, a := range all {
		if !keep[gcAttachment{ContainerID: a.ContainerID, IfName: a.IfName}] {
			errs = append(errs, e.Release(a))
		}
	}
	return errors.Join(errs...)
}
