package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/containernetworking/cni/pkg/ns"
	types100 "github.com/containernetworking/cni/pkg/types/100"

	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

// Add mounts bpffs where it is missing, gives the attachment its endpoint ID and
// prints prevResult with the paths of its local maps. If it fails it takes back
// what this call recorded; the mount stays, for others may use it already.
func (p *plugin) Add(c call) error {
	if err := p.checkNetNS(c.Netns); err != nil {
		return err
	}
	prev, err := p.parseAdd(c)
	if err != nil {
		return err
	}
	ctx := context.Background()
	root, err := p.mount(ctx, c.Roots)
	if err != nil {
		return fmt.Errorf("%w: %w", errRoot, err)
	}
	id, isNew, err := prepare(ctx, c, root)
	if err != nil {
		return err
	}
	err = p.printResult(c.CNIVersion, bpffs.AppendPaths(prev, c.paths(root, id)))
	if err == nil || !isNew {
		return err
	}
	return errors.Join(err, release(ctx, c, root))
}

// checkNetNS refuses the network namespace of the plugin itself, which no
// container has. A namespace that is gone is none of this plugin's business.
func (p *plugin) checkNetNS(path string) error {
	if p.netnsOverride {
		return nil
	}
	own, err := ns.CheckNetNS(path)
	if err != nil {
		return fmt.Errorf("%w: CNI_NETNS: %s: %w", errNetNS, path, err)
	}
	if own {
		return fmt.Errorf("%w: CNI_NETNS: %s is the network namespace of the plugin itself", errNetNS, path)
	}
	return nil
}

// override reports whether CNI_NETNS_OVERRIDE says yes, as skel reads it.
func override(value string) bool {
	return strings.ToUpper(value) == "TRUE" || value == "1"
}

// parseAdd reads the configuration and refuses one that ADD could not finish
// with, before anything on the node is touched.
func (p *plugin) parseAdd(c call) (prev *types100.Result, err error) {
	if err := c.ParseAll(); err != nil {
		return nil, err
	}
	for _, key := range c.UnknownKeys() {
		p.warn("the network configuration has the key %q, which is not known and does nothing", key)
	}
	if !utf8.ValidString(c.IfName) {
		return nil, fmt.Errorf("%w: CNI_IFNAME: %q is not UTF-8, so that no runtime could name it for GC", errEnvironment, c.IfName)
	}
	if err := c.attachment().Check(); err != nil {
		return nil, fmt.Errorf("%w: CNI_CONTAINERID, CNI_IFNAME: %w", errEnvironment, err)
	}
	return prevResult(c)
}

// mount makes sure that there is a bpffs and returns its root.
func (p *plugin) mount(ctx context.Context, roots bpffs.Roots) (root string, err error) {
	m, err := bpffs.Mount(ctx, roots)
	if err != nil {
		return "", err
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
	return m.Path, nil
}

// prepare gives the attachment its ID and its maps, and says whether the ID is
// new. The records are free for others again before the result is printed, for
// that can take as long as the reader likes.
func prepare(ctx context.Context, c call, root string) (id uint16, isNew bool, err error) {
	if err := bpffs.CheckDirs(root, c.MapPrefix); err != nil {
		return 0, false, err
	}
	e, err := bpffs.CreateEndpoints(ctx, root)
	if err != nil {
		return 0, false, err
	}
	defer e.Close()
	id, isNew, err = e.Allocate(c.attachment(), c.MapPrefix, c.Names()...)
	if err != nil {
		return 0, false, err
	}
	if err = e.SetDetails(id, c.details()); err == nil {
		err = e.CreateMaps(id, c.MapPrefix, c.Maps)
	}
	if err != nil && isNew {
		err = errors.Join(err, e.Release(c.attachment()))
	}
	return id, isNew, err
}

// release takes back an endpoint whose result reached nobody.
func release(ctx context.Context, c call, root string) error {
	e, err := bpffs.OpenEndpoints(ctx, root)
	if errors.Is(err, bpffs.ErrNoRecords) || errors.Is(err, bpffs.ErrNotMounted) {
		return nil
	}
	if err != nil {
		return err
	}
	defer e.Close()
	return e.Release(c.attachment())
}
