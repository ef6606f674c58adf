package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/containernetworking/cni/pkg/ns"
	types100 "github.com/containernetworking/cni/pkg/types/100"

	"github.com/cni-bpffs/cni-bpffs/internal/errlist"
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
	if len(c.Limits) > 0 && !c.HasAnnotations() {
		p.warn("the runtime sent no annotations of the pod: it cannot ask for optional maps")
	}
	if c.Config, err = c.ForPod(); err != nil {
		return err
	}
	ctx := context.Background()
	root, err := p.mount(ctx, c.Roots)
	if err != nil {
		return fmt.Errorf("%w: %w", errRoot, err)
	}
	ep, err := prepare(ctx, c, root)
	if err != nil {
		return err
	}
	err = p.printResult(c.CNIVersion, bpffs.AppendPaths(c.withPod(prev), c.paths(root, ep.id)))
	if err == nil || !ep.isNew {
		return err
	}
	return errlist.Join(err, undo(ctx, c, root, ep))
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
	p.warnOfUnknown(c.UnknownKeys())
	if !utf8.ValidString(c.IfName) {
		return nil, fmt.Errorf("%w: CNI_IFNAME: %q is not UTF-8: a runtime could not name it for GC", errEnvironment, c.IfName)
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
				"all pins are lost when the namespace ends", m.Path)
		}
	}
	return m.Path, nil
}

// An endpoint is what a call of ADD has.
type endpoint struct {
	id    uint16
	isNew bool        // this call made its record
	stamp bpffs.Stamp // as this call left it
}

// prepare gives the attachment its ID and its maps. The maps are created before the
// records are opened, for a large one takes seconds; one that has its maps gets no
// others.
func prepare(ctx context.Context, c call, root string) (ep endpoint, err error) {
	if err := bpffs.CheckDirs(root, c.MapPrefix); err != nil {
		return ep, err
	}
	volume, err := c.openPodVolume()
	if err != nil {
		return ep, err
	}
	if volume != nil {
		defer volume.Close()
		if err := c.prepareToken(volume); err != nil {
			return ep, err
		}
	}
	typed := slices.ContainsFunc(c.Maps, bpffs.MapDecl.Typed)
	if !typed || bpffs.IsRecorded(root, c.attachment()) {
		ep, err = record(ctx, c, root, nil, volume)
		if !errors.Is(err, bpffs.ErrNoMap) {
			return ep, err
		}
	}
	made, err := bpffs.NewMaps(c.Maps)
	if err != nil {
		return ep, err
	}
	defer made.Close()
	if volume != nil {
		if err := volume.Prepare(c.Maps, made); err != nil {
			return ep, err
		}
	}
	return record(ctx, c, root, made, volume)
}

// record records the endpoint and pins its maps. The records are free for others
// again before the result is printed, for that can take as long as the reader likes.
func record(ctx context.Context, c call, root string, made *bpffs.Maps, volume *podVolume) (ep endpoint, err error) {
	e, err := bpffs.CreateEndpoints(ctx, root)
	if err != nil {
		return ep, err
	}
	defer e.Close()
	ep.id, ep.isNew, err = e.Allocate(c.attachment(), c.MapPrefix, c.Names()...)
	if err != nil {
		return ep, err
	}
	pinned, err := e.PinMaps(ep.id, c.MapPrefix, c.Maps, made)
	if err == nil && volume != nil {
		err = e.ShowPod(ep.id, ep.isNew, c.MapPrefix, c.Maps, volume.PodVolume)
	}
	if err == nil {
		err = e.SetDetails(ep.id, c.details())
	}
	if err == nil {
		ep.stamp, err = e.Stamp(ep.id)
	}
	switch {
	case err == nil:
		return ep, nil
	case ep.isNew:
		return ep, errlist.Join(err, e.Release(c.attachment()))
	}
	return ep, errlist.Join(err, e.UnpinMaps(ep.id, c.MapPrefix, pinned))
}

// undo takes back an endpoint whose result reached nobody. It may have taken long
// until that was known: where a later ADD has answered from the record, or made
// another one, it is that one's.
func undo(ctx context.Context, c call, root string, ep endpoint) error {
	e, err := bpffs.OpenEndpoints(ctx, root)
	if errors.Is(err, bpffs.ErrNoRecords) || errors.Is(err, bpffs.ErrNotMounted) {
		return nil
	}
	if err != nil {
		return err
	}
	defer e.Close()
	stamp, err := e.Stamp(ep.id)
	if errors.Is(err, fs.ErrNotExist) || err == nil && stamp != ep.stamp {
		return nil
	}
	if err != nil {
		return err
	}
	return e.Release(c.attachment())
}
