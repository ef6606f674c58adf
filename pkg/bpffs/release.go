package bpffs

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/cni-bpffs/cni-bpffs/internal/owned"
)

// Release removes the pins of the attachment's endpoint, then its record. What
// is gone already is success, also the whole attachment, and so is an attachment
// that can have no record. A pin that cannot be removed keeps the record, so that
// a later call can finish: [ErrPinStuck].
func (e *Endpoints) Release(a Attachment) error {
	return e.in(e.release(a))
}

func (e *Endpoints) release(a Attachment) error {
	if a.Check() != nil {
		return nil
	}
	id, err := e.lookUp(a)
	if err == nil {
		err = e.remove(e.record(id))
	}
	if err == nil || errors.Is(err, ErrNoEndpoint) {
		err = e.index.remove(a)
	}
	return err
}

// remove removes the pins and the record. The record goes from its place in one
// step; the next process that opens the records clears what a kill leaves of it
// elsewhere.
func (e *Endpoints) remove(r record) error {
	pins, err := r.pins()
	if err != nil {
		return err
	}
	var errs []error
	for _, g := range pins {
		errs = append(errs, e.unpin(g.dir, g.files(r.id)))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("%w of endpoint %d: %w", ErrPinStuck, r.id, err)
	}
	if err := e.cni.Rename(r.dir, scratchDir); err != nil {
		return err
	}
	return e.cni.RemoveTree(scratchDir)
}

// unpin removes whatever is at the recorded names in dir, below the root.
func (e *Endpoints) unpin(dir string, names []string) error {
	err := owned.Walk(dir, e.root.Check)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	maps, err := e.root.Open(dir)
	if err != nil {
		return err
	}
	defer maps.Close()
	var errs []error
	for _, name := range names {
		errs = append(errs, maps.RemoveTree(name))
	}
	return errors.Join(errs...)
}

// Collect releases every attachment to the network that keep does not want, and
// carries on past errors. It also removes what a kill left of the index.
func (e *Endpoints) Collect(network string, keep func(Attachment) bool) error {
	if checkName(escape(network)) != nil {
		return nil
	}
	all, err := e.index.attachments(network)
	errs := []error{err}
	for _, a := range all {
		if !keep(a) {
			errs = append(errs, e.release(a))
		}
	}
	return e.in(errors.Join(append(errs, e.index.prune(network))...))
}
