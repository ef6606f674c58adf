package bpffs

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/cni-bpffs/cni-bpffs/internal/errlist"
	"github.com/cni-bpffs/cni-bpffs/internal/netns"
)

// A Query says which endpoints are wanted. A field that is empty does not matter; the
// zero value wants all.
type Query struct {
	Network     string
	ContainerID string // the whole ID; in Kubernetes that of the pod's sandbox
	IfName      string
	Pod         string // "namespace/name"
	NetNS       string // the path of a network namespace, see [LookUp]
}

// LookUp returns the endpoints in the bpffs at root that the query wants, in the order
// of their IDs if the query names no container. A container has one endpoint for each
// interface and network. None is no error: then there is none.
//
// With a container it takes a few system calls, however many endpoints there are;
// without, it reads all records, in portions, so that no ADD waits long.
//
// NetNS is the path that the runtime gave, or any other one to the same network
// namespace, as far as this process sees both.
//
// What cannot be seen is not taken for absent: it is an error, beside the endpoints
// that were found. [ErrNotMounted] if there is no bpffs, [ErrNoRecords] if no plugin has
// recorded anything in it yet, and the other errors of [OpenEndpoints]. A record that
// cannot be read is one, unless the query names another container. So is, where no
// endpoint is found, a network namespace at a path that this process does not see.
//
// It waits for an ADD that is just recording, up to [LockTimeout], and changes
// nothing: a bpffs that is mounted read-only will do. What a killed ADD left is found,
// too, without [Details].
func LookUp(ctx context.Context, root string, q Query) ([]Endpoint, error) {
	top, err := openTop(root)
	if err != nil {
		return nil, err
	}
	e := &Endpoints{root: top, asIs: true}
	defer e.Close()
	var found []Endpoint
	if err = e.openAsIs(ctx); err == nil {
		found, err = e.find(ctx, q)
	}
	return found, e.in(e.noneHidden(err))
}

// find returns the endpoints that the query wants.
func (e *Endpoints) find(ctx context.Context, q Query) (found []Endpoint, err error) {
	wanted := q.matcher()
	ids, err := e.candidates(ctx, q)
	errs := []error{err}
	for _, id := range ids {
		if _, err := e.yield(ctx); err != nil {
			errs = append(errs, err)
			break
		}
		ep, err := e.endpoint(id)
		switch {
		case err == nil && wanted.wants(&ep):
			found = append(found, ep)
		case err != nil && !errors.Is(err, ErrNoEndpoint): // that one was released since it was listed
			errs = append(errs, err)
		}
	}
	if len(found) == 0 {
		errs = append(errs, wanted.unseen...)
	}
	return found, errlist.Join(errs...)
}

// candidates returns the IDs of the endpoints of the container, or of all.
func (e *Endpoints) candidates(ctx context.Context, q Query) ([]uint16, error) {
	if q.ContainerID == "" {
		return e.ids(ctx)
	}
	attachments, err := e.index.matching(q)
	errs := []error{err}
	var ids []uint16
	for _, a := range attachments {
		id, err := e.lookUp(a)
		switch {
		case err == nil:
			ids = append(ids, id)
		case !errors.Is(err, ErrNoEndpoint):
			errs = append(errs, err)
		}
	}
	return ids, errlist.Join(errs...)
}

// A matcher compares endpoints with a query.
type matcher struct {
	Query

	netNS  os.FileInfo // nil if there is no such namespace, or none that is seen here
	unseen []error     // namespaces that could not be compared
}

func (q Query) matcher() *matcher {
	m := &matcher{Query: q}
	if q.NetNS != "" {
		var err error
		m.netNS, err = netns.Look(q.NetNS)
		m.note(err)
	}
	return m
}

// note remembers that a network namespace could not be seen.
func (m *matcher) note(err error) {
	if err != nil && !errors.Is(err, netns.ErrGone) {
		m.unseen = append(m.unseen, fmt.Errorf("looking at a network namespace: %w: mount its directory here, or look up the path that is recorded", err))
	}
}

// wants reports whether the endpoint is one that the query wants.
func (m *matcher) wants(ep *Endpoint) bool {
	for _, part := range []struct{ want, is string }{
		{m.Network, ep.Attachment.Network},
		{m.ContainerID, ep.Attachment.ContainerID},
		{m.IfName, ep.Attachment.IfName},
		{m.Pod, ep.Details.Pod},
	} {
		if part.want != "" && part.want != part.is {
			return false
		}
	}
	return m.NetNS == "" || m.isNetNS(ep.Details.NetNS)
}

// isNetNS reports whether the recorded path is that of the wanted network namespace,
// or another one to it.
func (m *matcher) isNetNS(recorded string) bool {
	if recorded == m.NetNS || recorded == "" || m.netNS == nil {
		return recorded == m.NetNS
	}
	is, err := netns.Look(recorded)
	m.note(err)
	return err == nil && os.SameFile(is, m.netNS)
}
