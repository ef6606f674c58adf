package install

import (
	"context"
	"errors"
	"slices"

	"github.com/cni-bpffs/cni-bpffs/internal/netconf"
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

// places are where the plugin may have left records.
type places []bpffs.Roots

// with adds those of a configuration of the plugin. With a wrong one no pod started.
func (p places) with(plugin []byte) places {
	c, err := netconf.Parse(plugin)
	if err != nil || c.ParseRoots() != nil || slices.Contains(p, c.Roots) {
		return p
	}
	return append(p, c.Roots)
}

// all returns the paths, each once.
func (p places) all() (paths []string) {
	for _, r := range p {
		for _, path := range r.All() {
			if !slices.Contains(paths, path) {
				paths = append(paths, path)
			}
		}
	}
	return paths
}

// A recorded is what was found at the places.
type recorded struct {
	seen      bool   // there is a bpffs
	root      string // the first with endpoints
	endpoints int    // there
}

// look looks for endpoints.
func (p places) look(ctx context.Context) (found recorded, err error) {
	for _, r := range p {
		err = errors.Join(err, r.Walk(ctx, found.visit))
	}
	return found, err
}

func (s *recorded) visit(root string, e *bpffs.Endpoints, err error) error {
	if errors.Is(err, bpffs.ErrNotMounted) {
		return nil
	}
	s.seen = true
	if errors.Is(err, bpffs.ErrNoRecords) || errors.Is(err, bpffs.ErrNotOurs) {
		return nil // a bpffs without records of ours
	}
	if err != nil {
		return err
	}
	free, err := e.FreeIDs()
	if n := bpffs.MaxEndpoints - free; n > 0 && s.endpoints == 0 {
		s.root, s.endpoints = root, n
	}
	return err
}
