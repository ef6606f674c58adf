package bpffs

import (
	"errors"
	"io/fs"
	"path"
)

// Details are what the runtime says of an endpoint's container, kept for people
// who look for it. Nothing else depends on them.
type Details struct {
	Pod   string // "namespace/name" in Kubernetes; empty if there is none
	NetNS string // the path of the network namespace, as the runtime gave it
}

// The symbolic links in an endpoint's record whose targets are its details.
const (
	podLink   = "pod"
	netNSLink = "netns"
)

// Describe records the details of the endpoint id in place of earlier ones. What
// is empty in d, or longer than any path can be, is left as it was.
func (e *Endpoints) Describe(id uint16, d Details) error {
	record := path.Join(endpointsDir, formatID(id))
	return e.in(errors.Join(
		e.setLink(path.Join(record, podLink), d.Pod),
		e.setLink(path.Join(record, netNSLink), d.NetNS)))
}

func (e *Endpoints) setLink(name, target string) error {
	if target == "" || len(target) >= maxPath {
		return nil
	}
	err := e.cni.symlink(target, name)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	if has, err := e.cni.readlink(name); err != nil || has == target {
		return err
	}
	if err := e.cni.remove(name); err != nil {
		return err
	}
	return e.cni.symlink(target, name)
}

// details returns what Describe recorded of the endpoint id.
func (e *Endpoints) details(id uint16) (d Details, err error) {
	for _, l := range []struct {
		name string
		dst  *string
	}{{podLink, &d.Pod}, {netNSLink, &d.NetNS}} {
		*l.dst, err = e.cni.readlink(path.Join(endpointsDir, formatID(id), l.name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return d, err
		}
	}
	return d, nil
}
