package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

// Add mounts bpffs where it is missing, gives the attachment its endpoint ID and
// prints prevResult with the paths of its local maps. If it fails it takes back
// what this call recorded; the mount stays, for others may use it already.
func (p plugin) Add(c *config, r request) error {
	if err := p.parseAdd(c); err != nil {
		return err
	}
	a := attachment(c, r)
	if err := a.Check(); err != nil {
		return fmt.Errorf("%w: CNI_CONTAINERID, CNI_IFNAME: %w", errEnvironment, err)
	}
	ctx := newDeadline()
	dir, err := p.mount(ctx, c)
	if err != nil {
		return fmt.Errorf("%w: %w", errRoot, err)
	}
	id, isNew, err := prepare(ctx, c, dir, a, bpffs.Details{Pod: r.pod, NetNS: r.netns})
	if err != nil {
		return err
	}
	err = p.printResult(c, dir, id)
	if err == nil || !isNew {
		return err
	}
	// It may have taken long until nobody read the result.
	ctx = newDeadline()
	return errors.Join(err, p.withRecords(ctx, dir.Root(), "", func(_ bpffs.MapDir, e *bpffs.Endpoints) error {
		return e.Release(a)
	}))
}

// prepare gives the attachment its ID and its maps, and says whether the ID is
// new. The records are free for others again before the result is printed, for
// that can take as long as the reader likes.
func prepare(
	ctx context.Context, c *config, dir bpffs.MapDir, a bpffs.Attachment, d bpffs.Details,
) (id uint16, isNew bool, err error) {
	endpoints, err := bpffs.CreateEndpoints(ctx, dir)
	if err != nil {
		return 0, false, err
	}
	defer endpoints.Close()
	id, isNew, err = endpoints.Allocate(a, c.names()...)
	if err != nil {
		return 0, false, err
	}
	if err = endpoints.Describe(id, d); err == nil {
		err = endpoints.CreateMaps(id, c.maps)
	}
	if err != nil && isNew {
		err = errors.Join(err, endpoints.Release(a))
	}
	return id, isNew, err
}

// parseAdd reads the configuration and refuses one that ADD could not finish
// with, before anything on the node is touched.
func (p plugin) parseAdd(c *config) error {
	if err := c.parse(); err != nil {
		return err
	}
	for _, key := range c.unknownKeys() {
		p.warn("the network configuration has the key %q, which is not known and does nothing", key)
	}
	if c.keys["prevResult"] == nil {
		return badValue("prevResult", nil, errors.New(
			"bpffs is a chained plugin: put it after the one that creates the interface"))
	}
	var err error
	if c.prevResult, err = bpffs.ParseResult(c.keys["prevResult"], c.cniVersion); err != nil {
		return badValue("prevResult", c.keys["prevResult"], err)
	}
	return nil
}

// mount makes sure that there is a bpffs and returns the map directory in it.
func (p plugin) mount(ctx context.Context, c *config) (bpffs.MapDir, error) {
	m, err := bpffs.Mount(ctx, c.roots)
	if err != nil {
		return bpffs.MapDir{}, err
	}
	if m.Fallback {
		p.warn("another file system is mounted at %s; using the bpffs at %s", bpffs.DefaultRoot, m.Path)
	}
	if m.New {
		if host, err := bpffs.InHostMountNamespace(); err == nil && !host {
			p.warn("mounted a bpffs at %s in a mount namespace other than that of process 1; "+
				"all pins die with the namespace", m.Path)
		}
	}
	return bpffs.NewMapDir(m.Path, c.mapPrefix)
}

func (p plugin) printResult(c *config, dir bpffs.MapDir, id uint16) error {
	result := c.prevResult.AppendPaths(c.paths(dir, id))
	if _, err := p.stdout.Write(append(result, '\n')); err != nil {
		return fmt.Errorf("%w: printing the result: %w", errInput, err)
	}
	return nil
}

// paths returns the paths of the declared maps of the endpoint id.
func (c *config) paths(dir bpffs.MapDir, id uint16) []string {
	paths := make([]string, len(c.maps))
	for i, m := range c.maps {
		paths[i] = dir.LocalMapPath(m.Name, id)
	}
	return paths
}
