package main

import (
	"fmt"

	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

// Status reports why an ADD could not be served: no bpffs to be had, records
// that cannot be used, or no endpoint ID left. It mounts and changes nothing.
func (p plugin) Status(c *config, _ request) error {
	if err := c.parse(); err != nil {
		return err
	}
	root, err := bpffs.CheckMount(c.roots)
	if err != nil {
		return fmt.Errorf("%w: %w", errRoot, err)
	}
	dir, err := bpffs.NewMapDir(root, c.mapPrefix)
	if err != nil {
		return err
	}
	ctx := newDeadline()
	return bpffs.CheckEndpoints(ctx, dir)
}
