package bpffs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"path"
	"slices"
	"time"

	"github.com/cni-bpffs/cni-bpffs/internal/errlist"
)

// An Endpoint is one record.
type Endpoint struct {
	ID         uint16
	Attachment Attachment
	Details    Details
	NetNSIn    DirID // the directory in which ADD saw the network namespace; empty if that is not known
	Created    time.Time
	Pins       []string // absolute paths, whether there is something at them or not
	Maps       []string // those of them that PinMaps made, or was to make

	// MapIDs are the kernel's IDs of the maps that PinMaps pinned, by path. A record of
	// an earlier version, or of very many maps, has none.
	MapIDs map[string]uint32

	// PodUID is the UID of the pod in whose volume something was shown, and PodMounts
	// what: empty if nothing was. An older sandbox of a pod shows nothing any more.
	PodUID    string
	PodMounts []PodMount
}

// Pin returns the path of the local map that is declared with that name, empty if the
// endpoint has none.
func (ep *Endpoint) Pin(name string) string {
	for _, pin := range ep.Pins {
		if path.Base(pin) == LocalMapName(name, ep.ID) {
			return pin
		}
	}
	return ""
}

// All returns every endpoint in the order of their IDs. A record that cannot be
// read is an error with the ID it stands under, and does not end the sequence.
func (e *Endpoints) All() iter.Seq2[Endpoint, error] {
	return func(yield func(Endpoint, error) bool) {
		names, err := e.cni.List(endpointsDir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			yield(Endpoint{}, e.in(err))
			return
		}
		slices.Sort(names)
		for _, name := range names {
			ep, err := e.read(name)
			if !yield(ep, e.in(err)) {
				return
			}
		}
	}
}

// IDs returns the endpoint IDs that have a record, in their order. Names that are
// no ID are reported in the error, beside those that are. Where there are very many,
// others can have the records while they are listed; after an error they may be
// lost, as after one of [Endpoints.Yield].
//
// With [Endpoints.Endpoint] and Yield the records of a large node can be read in
// portions, so that no ADD waits long.
func (e *Endpoints) IDs(ctx context.Context) ([]uint16, error) {
	ids, err := e.ids(ctx)
	return ids, e.in(err)
}

// ids is IDs, without saying in which bpffs it failed.
func (e *Endpoints) ids(ctx context.Context) (ids []uint16, err error) {
	names, err := e.list(ctx, endpointsDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	errs := []error{err}
	for _, name := range names {
		id, err := parseID(name)
		if err != nil {
			errs = append(errs, fmt.Errorf("in the records: %w", err))
			continue
		}
		ids = append(ids, id)
	}
	return ids, errlist.Join(errs...)
}

// Endpoint returns the endpoint that has the ID, [ErrNoEndpoint] if it has no
// record. Another error says why the record cannot be read.
func (e *Endpoints) Endpoint(id uint16) (Endpoint, error) {
	ep, err := e.endpoint(id)
	return ep, e.in(err)
}

func (e *Endpoints) endpoint(id uint16) (Endpoint, error) {
	found, err := e.record(id).exists()
	if err == nil && !found {
		err = fmt.Errorf("%w: ID %d", ErrNoEndpoint, id)
	}
	if err != nil {
		return Endpoint{ID: id}, err
	}
	return e.read(formatID(id))
}

// read returns the endpoint whose record has the name.
func (e *Endpoints) read(name string) (ep Endpoint, err error) {
	if ep.ID, err = parseID(name); err != nil {
		return ep, err
	}
	return e.readRecord(e.record(ep.ID))
}

// readRecord returns the endpoint of the record.
func (e *Endpoints) readRecord(r record) (ep Endpoint, err error) {
	ep.ID = r.id
	if ep.Attachment, err = r.attachment(); err != nil {
		if errors.Is(err, ErrNoEndpoint) {
			err = fmt.Errorf("record of endpoint %d: it has no owner", ep.ID)
		}
		return ep, err
	}
	if ep.Details, err = r.details(); err != nil {
		return ep, err
	}
	if ep.NetNSIn, err = r.netNSIn(ep.Details.NetNS); err != nil {
		return ep, err
	}
	made, err := r.made()
	if err != nil {
		return ep, err
	}
	ep.Created = made.Changed
	groups, err := r.pins()
	if err != nil {
		return ep, err
	}
	for _, g := range groups {
		for _, file := range g.files(r.id) {
			ep.Pins = append(ep.Pins, path.Join(e.Root(), g.dir, file))
		}
	}
	slices.Sort(ep.Pins)
	if ep.Maps, ep.MapIDs, err = r.maps(ep.Pins); err != nil {
		return ep, err
	}
	ep.PodUID, ep.PodMounts, err = r.shown()
	return ep, err
}

// Attachments returns the attachments to the network that have a record, or are
// left in the index by a process that was killed. Names that this package did
// not write are reported in the error, beside the attachments that are whole.
func (e *Endpoints) Attachments(network string) (all []Attachment, err error) {
	containers, err := e.index.containers(network)
	errs := []error{err}
	for _, container := range containers {
		some, err := e.index.attachments(network, container)
		all = append(all, some...)
		errs = append(errs, err)
	}
	return all, e.in(errlist.Join(errs...))
}
