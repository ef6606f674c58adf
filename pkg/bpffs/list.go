package bpffs

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"path"
	"slices"
	"time"
)

// An Endpoint is one record.
type Endpoint struct {
	ID         uint16
	Attachment Attachment
	Details    Details
	Created    time.Time
	Pins       []string // absolute paths, whether there is something at them or not
	Maps       []string // those of them that CreateMaps made, or was to make
}

// All returns every endpoint in the order of their IDs. A record that cannot be
// read is an error with the ID it stands under, and does not end the sequence.
func (e *Endpoints) All() iter.Seq2[Endpoint, error] {
	return func(yield func(Endpoint, error) bool) {
		names, err := e.cni.list(endpointsDir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			yield(Endpoint{}, err)
			return
		}
		slices.Sort(names)
		for _, name := range names {
			if !yield(e.read(name)) {
				return
			}
		}
	}
}

// IDs returns the endpoint IDs that have a record, in their order. Names that are
// no ID are reported in the error, beside those that are.
//
// With [Endpoints.Endpoint] the records of a large node can be read in portions,
// and closed in between, so that no ADD waits long.
func (e *Endpoints) IDs() (ids []uint16, err error) {
	names, err := e.cni.list(endpointsDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, e.in(err)
	}
	var errs []error
	for _, name := range names {
		id, err := parseID(name)
		if err != nil {
			errs = append(errs, e.in(fmt.Errorf("in the records: %w", err)))
			continue
		}
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids, errors.Join(errs...)
}

// Endpoint returns the endpoint that has the ID, [ErrNoEndpoint] if it has no
// record. Another error says why the record cannot be read.
func (e *Endpoints) Endpoint(id uint16) (Endpoint, error) {
	name := formatID(id)
	found, err := e.cni.exists(path.Join(endpointsDir, name))
	if err == nil && !found {
		err = fmt.Errorf("%w: ID %d", ErrNoEndpoint, id)
	}
	if err != nil {
		return Endpoint{ID: id}, e.in(err)
	}
	ep, err := e.read(name)
	if errors.Is(err, ErrNoEndpoint) {
		err = fmt.Errorf("record of endpoint %d: it has no owner", id)
	}
	return ep, e.in(err)
}

func (e *Endpoints) read(name string) (ep Endpoint, err error) {
	if ep.ID, err = parseID(name); err != nil {
		return ep, err
	}
	if ep.Attachment, err = e.Owner(ep.ID); err != nil {
		return ep, err
	}
	if ep.Details, err = e.details(ep.ID); err != nil {
		return ep, err
	}
	owner, err := e.cni.stat(path.Join(endpointsDir, name, ownerLink))
	if err != nil {
		return ep, err
	}
	ep.Created = owner.changed
	if ep.Pins, err = e.Pins(ep.ID); err != nil {
		return ep, err
	}
	slices.Sort(ep.Pins)
	ep.Maps, err = e.readMaps(ep.ID, ep.Pins)
	return ep, err
}

// Attachments returns the attachments to the network that have a record, or are
// left in the index by a process that was killed. Names that this package did
// not write are reported in the error, beside the attachments that are whole.
func (e *Endpoints) Attachments(network string) ([]Attachment, error) {
	if checkName(escape(network)) != nil {
		return nil, nil
	}
	var all []Attachment
	var errs []error
	dir := path.Join(attachmentsDir, escape(network))
	containers, err := listUnescaped(e, dir)
	errs = append(errs, err)
	for _, container := range containers {
		names, err := listUnescaped(e, path.Join(dir, escape(container)))
		errs = append(errs, err)
		for _, name := range names {
			all = append(all, Attachment{network, container, name})
		}
	}
	return all, errors.Join(errs...)
}

// listUnescaped returns the original strings of the names in dir; none if it is
// missing.
func listUnescaped(e *Endpoints, dir string) ([]string, error) {
	names, err := e.cni.list(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var found []string
	var errs []error
	for _, name := range names {
		s, err := unescape(name)
		if err != nil {
			errs = append(errs, fmt.Errorf("in the index of endpoints, %s: %w", dir, err))
			continue
		}
		found = append(found, s)
	}
	return found, errors.Join(errs...)
}
