package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

// Check reports the first difference between what ADD did and what is there. It
// repairs nothing.
func (p plugin) Check(c *config, r request) error {
	if err := p.parseAdd(c); err != nil {
		return err
	}
	a := attachment(c, r)
	found := false
	err := p.eachRecords(c.roots, c.mapPrefix, func(dir bpffs.MapDir, e *bpffs.Endpoints) error {
		id, err := e.ID(a)
		if errors.Is(err, bpffs.ErrNoEndpoint) {
			return nil
		}
		found = true
		if err != nil {
			return err
		}
		return checkEndpoint(c, dir, e, id)
	})
	if err == nil && !found {
		err = fmt.Errorf("%w: %w: %v", errCheck, bpffs.ErrNoEndpoint, a)
	}
	return err
}

// checkEndpoint compares the paths in prevResult and the pinned maps with those
// that the endpoint id should have.
func checkEndpoint(c *config, dir bpffs.MapDir, e *bpffs.Endpoints, id uint16) error {
	if err := checkPaths(c, dir, id); err != nil {
		return err
	}
	for _, d := range c.maps {
		if d.Spec.Type == "" {
			continue
		}
		if err := e.CheckMap(id, d); err != nil {
			return fmt.Errorf("%w: %w", errCheck, err)
		}
	}
	return nil
}

// checkPaths compares the paths in prevResult with those of the endpoint id.
func checkPaths(c *config, dir bpffs.MapDir, id uint16) error {
	maps, err := bpffs.LocalMaps(c.keys["prevResult"])
	if err != nil {
		return err
	}
	var has []string
	for _, m := range maps {
		if filepath.Dir(m.Path) == dir.Path() && m.EndpointID != id {
			return fmt.Errorf("%w: prevResult has the path %s, but the endpoint ID is %d", errCheck, m.Path, id)
		}
		has = append(has, m.Path)
	}
	for _, path := range c.paths(dir, id) {
		if !slices.Contains(has, path) {
			return fmt.Errorf("%w: prevResult lacks the path %s", errCheck, path)
		}
	}
	return nil
}
