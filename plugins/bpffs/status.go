package main

import (
	"context"
	"fmt"

	"github.com/cni-bpffs/cni-bpffs/internal/token"
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

// Status reports why an ADD could not be served: no usable bpffs, records that
// cannot be used, or no endpoint ID left. It mounts and changes nothing.
func (p *plugin) Status(c call) error {
	if err := c.ParseAll(); err != nil {
		return err
	}
	m, err := bpffs.CheckMount(c.Roots)
	if err != nil {
		return fmt.Errorf("%w: %w", errRoot, err)
	}
	if c.Delegate != nil {
		if err := token.CheckKernel(); err != nil {
			p.warn("a pod that gets tokens cannot start: %v", err)
		}
	}
	if err := bpffs.CheckEndpoints(context.Background(), m.Path, c.MapPrefix); err != nil {
		return err
	}
	return bpffs.CheckMaps(c.LargestMaps())
}
