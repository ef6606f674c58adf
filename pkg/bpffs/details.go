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

// Describe records the details of the endpoint id in place of earlier ones. What
// is empty in d, or longer than any path can be, is left as it was.
func (e *Endpoints) Describe(id uint16, d Details) error {
	for name, target := range map[string]string{podLink: d.Pod, netNSLink: d.NetNS} {
		if target == "" || len(target) >= maxPath {
			continue
		}
		if err := e.setLink(path.Join(endpointsDir, formatID(id), name), target); err != nil {
			return e.in(err)
		}
	}
	return nil
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
