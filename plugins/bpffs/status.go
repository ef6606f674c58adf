package main

import (
	"context"
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
	ctx, cancel := context.WithTimeout(context.Background(), lockTimeout)
	defer cancel()
	return withRecords(ctx, root, c.mapPrefix, checkFree)
}

func checkFree(dir bpffs.MapDir, e *bpffs.Endpoints) error {
	free, err := e.Free()
	if err == nil && free == 0 {
		err = fmt.Errorf("%w: all %d at %s are in use", bpffs.ErrFull, bpffs.MaxEndpoints, dir.Root())
	}
	return err
}
