package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/containernetworking/cni/pkg/skel"

	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

// Check reports the first difference between what ADD did and what is there. It
// repairs nothing.
func (p plugin) Check(args *skel.CmdArgs) error {
	c, err := p.parseAdd(args)
	if err != nil {
		return err
	}
	a := attachment(c, args)
	found := false
	err = eachRecords(c.roots, func(root string, e *bpffs.Endpoints) error {
		id, err := e.ID(a)
		if errors.Is(err, bpffs.ErrNoEndpoint) {
			return nil
		}
		found = true
		if err != nil {
			return err
		}
		return checkEndpoint(c, root, id)
	})
	if err == nil && !found {
		err = fmt.Errorf("%w: %w: %v", errCheck, bpffs.ErrNoEndpoint, a)
	}
	return err
}

// checkEndpoint compares the paths in prevResult with those of the endpoint id.
func checkEndpoint(c *config, root string, id uint16) error {
	dir, err := bpffs.NewMapDir(root, c.mapPrefix)
	if err != nil {
		return err
	}
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
