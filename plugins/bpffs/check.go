package main

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	types100 "github.com/containernetworking/cni/pkg/types/100"

	"github.com/cni-bpffs/cni-bpffs/internal/netconf"
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

// Check reports the first difference between what ADD did and what is there. It
// repairs nothing.
func (p *plugin) Check(c call) error {
	prev, err := p.parseAdd(c)
	if err != nil {
		return err
	}
	found, err := p.eachRecords(c, c.Roots.All(), nil, func(e *bpffs.Endpoints) (found bool, err error) {
		id, err := e.ID(c.attachment())
		if errors.Is(err, bpffs.ErrNoEndpoint) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		return true, checkEndpoint(c, prev, e, id)
	})
	if err == nil && !found {
		err = fmt.Errorf("%w: %w: %v", errCheck, bpffs.ErrNoEndpoint, c.attachment())
	}
	return err
}

// checkEndpoint compares the paths in prevResult and the pinned maps with those
// that the endpoint id should have.
func checkEndpoint(c call, prev *types100.Result, e *bpffs.Endpoints, id uint16) error {
	if err := e.CheckDirs(c.MapPrefix); err != nil {
		return err
	}
	c.Config = c.withOptional(prev, e.Root(), id)
	if err := checkPaths(c, prev, e.Root(), id); err != nil {
		return err
	}
	for _, d := range c.Maps {
		if !d.Typed() {
			continue
		}
		if err := e.CheckMap(id, c.MapPrefix, d); err != nil {
			return differs(err)
		}
	}
	return checkPod(c, e, id)
}

// withOptional returns the configuration with the optional maps that ADD gave to the
// endpoint id, as prevResult tells: the pod's annotation may have changed since. Their
// number of entries was the pod's choice, and is what it is.
func (c call) withOptional(prev *types100.Result, root string, id uint16) *netconf.Config {
	given := bpffs.LocalMaps(prev)
	return c.Keep(func(d *bpffs.MapDecl) bool {
		path := c.mapDir(root).LocalMapPath(d.Name, id)
		if pinned, err := bpffs.ReadMap(path); err == nil {
			d.Spec.MaxEntries = pinned.Spec.MaxEntries
		}
		return slices.ContainsFunc(given, func(m bpffs.LocalMap) bool { return m.Path == path })
	})
}

// checkPod compares what the pod sees of its maps with what it should.
func checkPod(c call, e *bpffs.Endpoints, id uint16) error {
	volume, err := c.openPodVolume()
	if err != nil || volume == nil {
		return err
	}
	defer volume.Close()
	if err := e.CheckPod(id, c.MapPrefix, c.Maps, volume); err != nil {
		return fmt.Errorf("%w: %w", errCheck, err)
	}
	return nil
}

// differs returns the error of a look at a map as the difference that it has found.
// Any other error says that it is not known what is there.
func differs(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, bpffs.ErrMapShape) {
		return fmt.Errorf("%w: %w", errCheck, err)
	}
	return err
}

// checkPaths compares the paths in prevResult with those of the endpoint id.
func checkPaths(c call, prev *types100.Result, root string, id uint16) error {
	has := make(map[string]bool)
	for _, m := range bpffs.LocalMaps(prev) {
		if filepath.Dir(m.Path) == c.mapDir(root).Path() && m.EndpointID != id {
			return fmt.Errorf("%w: prevResult has the path %s, but the endpoint ID is %d", errCheck, m.Path, id)
		}
		has[m.Path] = true
	}
	for _, path := range c.paths(root, id) {
		if !has[path] {
			return fmt.Errorf("%w: prevResult lacks the path %s", errCheck, path)
		}
	}
	return nil
}
