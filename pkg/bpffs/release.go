package bpffs

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
)

// Release removes the pins of the attachment's endpoint, then its record. What
// is gone already is success, also the whole attachment, and so is an attachment
// that can have no record. A pin that cannot be removed keeps the record, so that
// a later call can finish: [ErrPinStuck].
func (e *Endpoints) Release(a Attachment) error {
	if a.Check() != nil {
		return nil
	}
	id, err := e.ID(a)
	if err == nil {
		err = e.remove(id)
	}
	if err == nil || errors.Is(err, ErrNoEndpoint) {
		err = e.unindex(a)
	}
	return e.in(err)
}

// remove removes the pins and the record of the endpoint id. The record goes
// from its place in one step; the next process that opens the records clears
// what a kill leaves of it elsewhere.
func (e *Endpoints) remove(id uint16) error {
	pins, err := e.readPins(id)
	if err != nil {
		return err
	}
	var errs []error
	for dir, names := range pins {
		errs = append(errs, e.unpin(dir, localMapNames(names, id)))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("%w of endpoint %d at %s: %w", ErrPinStuck, id, e.dir.Root(), err)
	}
	if err := e.cni.rename(path.Join(endpointsDir, formatID(id)), scratchDir); err != nil {
		return err
	}
	return e.cni.removeAll(scratchDir)
}

// localMapNames returns the file names of the local maps of the endpoint id.
func localMapNames(names []string, id uint16) []string {
	files := make([]string, len(names))
	for i, name := range names {
		files[i] = LocalMapName(name, id)
	}
	return files
}

// unpin removes whatever is at the recorded names in dir, below the root.
func (e *Endpoints) unpin(dir string, names []string) error {
	err := walkOwned(e.root, dir, checkOwned)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	maps, err := e.root.open(dir)
	if err != nil {
		return err
	}
	defer maps.f.Close()
	var errs []error
	for _, name := range names {
		errs = append(errs, removeTree(maps, name))
	}
	return errors.Join(errs...)
}

// removeTree removes what is at name in d, with everything in it. It tries
// to remove a directory before it looks inside: a mount point is busy then, and
// what is mounted there, which is somebody else's, stays.
func removeTree(d *dir, name string) error {
	err := d.remove(name)
	if !isNotEmpty(err) {
		return err
	}
	sub, err := d.open(name)
	if err != nil {
		return err
	}
	defer sub.f.Close()
	names, err := sub.f.Readdirnames(-1)
	errs := []error{err}
	for _, n := range names {
		errs = append(errs, removeTree(sub, n))
	}
	return errors.Join(append(errs, d.remove(name))...)
}

// Collect releases every attachment to the network that keep does not want, and
// carries on past errors. It also removes what a kill left of the index.
func (e *Endpoints) Collect(network string, keep func(Attachment) bool) error {
	if checkName(escape(network)) != nil {
		return nil
	}
	all, err := e.Attachments(network)
	errs := []error{e.in(err)}
	for _, a := range all {
		if !keep(a) {
			errs = append(errs, e.Release(a))
		}
	}
	return errors.Join(append(errs, e.in(e.prune(network)))...)
}

// unindex removes the attachment from the index, and the directories above it
// that are empty then, also those that a kill in the middle of this left empty.
func (e *Endpoints) unindex(a Attachment) error {
	index := path.Join(attachmentsDir, a.path())
	if there, err := e.cni.exists(index); err != nil {
		return err
	} else if there { // where a bpffs is mounted read-only the attempt would be an error
		if err := e.cni.remove(index); err != nil {
			return err
		}
	}
	container := path.Dir(index)
	return errors.Join(e.cni.removeEmpty(container), e.cni.removeEmpty(path.Dir(container)))
}

// prune removes the containers without an interface from the index of a network,
// and the network if it has none.
func (e *Endpoints) prune(network string) error {
	dir := path.Join(attachmentsDir, escape(network))
	names, err := e.cni.list(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	errs := []error{err}
	for _, name := range names {
		errs = append(errs, e.cni.removeEmpty(path.Join(dir, name)))
	}
	return errors.Join(append(errs, e.cni.removeEmpty(dir))...)
}

// Pins returns the paths of the pins that the endpoint id owns, whether there is
// something at them or not.
func (e *Endpoints) Pins(id uint16) ([]string, error) {
	dirs, err := e.readPins(id)
	var pins []string
	for dir, names := range dirs {
		for _, name := range localMapNames(names, id) {
			pins = append(pins, path.Join(e.dir.Root(), dir, name))
		}
	}
	return pins, err
}
