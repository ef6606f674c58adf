package bpffs

import (
	"errors"
	"fmt"
	"io/fs"
	"path"

	"github.com/cni-bpffs/cni-bpffs/internal/flock"
	"github.com/cni-bpffs/cni-bpffs/internal/owned"
)

// A knownEndpoint is an endpoint, and what tells its record from a later one.
type knownEndpoint struct {
	Endpoint

	made owned.Stat
}

// read looks at the record of that name and tells what is new. An error means that
// changes cannot be waited for.
//
// It reads below the open directory of the record: that of another one, which may take
// its place meanwhile, is another directory.
func (w *watcher) read(e *Endpoints, name string) error {
	dir, err := e.cni.Open(path.Join(endpointsDir, name))
	id, nerr := parseID(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		w.remove(id)
		return nil
	case err != nil: // it is not known which one is there
		w.stale = true
	default:
		defer dir.Close()
		err = nerr
	}
	if err != nil {
		w.tellError(e.in(fmt.Errorf("in the records: %w", err)))
		return nil
	}
	r := record{dir, id, "."}
	if made, err := r.made(); err == nil {
		if made == w.known[id].made {
			return nil
		}
		w.remove(id) // whose record this is not; the one that has come may never be whole
	}
	return w.report(e, r, name)
}

// report tells of the record if it is whole, and of an error. Else, and after an error,
// it is watched until something in it changes.
func (w *watcher) report(e *Endpoints, r record, name string) error {
	s, err := e.readWhole(r)
	if err != nil {
		d, werr := w.add(r.cni)
		if werr != nil {
			return werr
		}
		w.pending[d] = name
		if s, err = e.readWhole(r); err == nil { // what has changed before
			w.notifier.Drop(d)
			delete(w.pending, d)
		}
	}
	w.found(e, r, s, err)
	return nil
}

// found tells of what was read of a record. What is released is moved away before it is
// taken apart: if it is still in its place it was read as it is. If it is not, the next
// change tells.
func (w *watcher) found(e *Endpoints, r record, s knownEndpoint, err error) {
	inPlace, perr := flock.IsAt(r.cni.File(), r.cni.Path("."))
	switch {
	case perr != nil || !inPlace || errors.Is(err, errNotWhole):
	case err != nil:
		w.tellError(e.in(err))
	default:
		w.remove(r.id)
		w.remove(w.ids[s.Attachment]) // it has one ID at a time, so the notice of this is on its way
		w.known[r.id], w.ids[s.Attachment] = s, r.id
		w.tell(Added, s.Endpoint)
	}
}

// errNotWhole says that an ADD has not finished with the record.
var errNotWhole = errors.New("the record is not whole")

// readWhole returns the endpoint of a record that is whole.
func (e *Endpoints) readWhole(r record) (s knownEndpoint, err error) {
	whole, err := r.isWhole()
	if err == nil && !whole {
		err = errNotWhole
	}
	if err == nil {
		s.Endpoint, err = e.readRecord(r)
	}
	if err == nil {
		s.made, err = r.made()
	}
	return s, err
}

// remove tells that the endpoint is not there any more, if it was told to be.
func (w *watcher) remove(id uint16) {
	if s, known := w.known[id]; known {
		delete(w.known, id)
		delete(w.ids, s.Attachment)
		w.tell(Removed, s.Endpoint)
	}
}
