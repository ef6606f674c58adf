package bpffs

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
)

// Release removes the pins of the attachment's endpoint, then its record. What
// is gone already is success, also the whole attachment, and so is an attachment
// that can have no record. A pin that cannot be
// removed keeps the record, so that a later call can finish.
func (e *Endpoints) Release(a Attachment) error {
	if a.Check() != nil {
		return nil
	}
	id, err := e.ID(a)
	if err == nil {
		err = e.remove(id)
	}
	if err != nil && !errors.Is(err, ErrNoEndpoint) {
		return err
	}
	return e.unindex(a)
}

// remove removes the pins and the record of the endpoint id. The record goes
// from its place in one step; the next process that opens the records clears
// what a kill leaves of it elsewhere.
func (e *Endpoints) remove(id uint16) error {
	pins, err := e.pins(id)
	if err != nil {
		return err
	}
	var errs []error
	for _, pin := range pins {
		errs = append(errs, e.unpin(pin))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("removing the pins of endpoint %d: %w", id, err)
	}
	if err := e.cni.Rename(path.Join(endpointsDir, formatID(id)), scratchDir); err != nil {
		return err
	}
	return e.cni.RemoveAll(scratchDir)
}

// unpin removes whatever is at pin, a recorded path below the root.
func (e *Endpoints) unpin(pin string) error {
	err := walkOwned(e.root, path.Dir(pin), checkOwned)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return e.root.RemoveAll(pin)
}

// unindex removes the attachment from the index, and the directories above it
// that are empty then.
func (e *Endpoints) unindex(a Attachment) error {
	index := path.Join(attachmentsDir, a.path())
	if err := e.cni.RemoveAll(index); err != nil {
		return err
	}
	for _, dir := range []string{path.Dir(index), path.Dir(path.Dir(index))} {
		err := e.cni.Remove(dir)
		if isNotEmpty(err) {
			return nil
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// Pins returns the paths of the pins that the endpoint id owns, whether there is
// something at them or not.
func (e *Endpoints) Pins(id uint16) ([]string, error) {
	pins, err := e.pins(id)
	for i, pin := range pins {
		pins[i] = path.Join(e.dir.Root(), pin)
	}
	return pins, err
}

// pins returns the recorded paths below the root: the directories of the record
// that hold no other.
func (e *Endpoints) pins(id uint16) ([]string, error) {
	top := path.Join(endpointsDir, formatID(id), "pins")
	var pins []string
	var walk func(pin string) error
	walk = func(pin string) error {
		names, err := list(e.cni, path.Join(top, pin))
		if err != nil {
			return err
		}
		if len(names) == 0 && pin != "" {
			pins = append(pins, pin)
		}
		for _, name := range names {
			if err := walk(path.Join(pin, name)); err != nil {
				return err
			}
		}
		return nil
	}
	if err := walk(""); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return pins, nil
}
