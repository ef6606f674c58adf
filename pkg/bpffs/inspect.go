package bpffs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"

	"github.com/cni-bpffs/cni-bpffs/internal/errlist"
	"github.com/cni-bpffs/cni-bpffs/internal/flock"
	"github.com/cni-bpffs/cni-bpffs/internal/owned"
)

// An Inspection is all that can be seen of the records and a map directory of one
// bpffs, for people who repair a node. Its paths are absolute.
type Inspection struct {
	Records     string      // the directory of the records, which is what is locked
	Endpoints   []Endpoint  // the records that can be read, in the order of their IDs
	Unreadable  []BadRecord // the others
	Unindexed   []Missing   // links that the index lacks, so that DEL and GC do not find a record
	Unconfirmed []string    // links in the index that no record confirms
	Empty       []string    // directories of the index without anything in them
	Scratch     string      // what a killed process left of a record, if anything
	Foreign     []string    // in the map directory, but owned by no record
	FreeIDs     int         // how many endpoint IDs have no record
}

// Missing is a symbolic link that is not there, or leads elsewhere.
type Missing struct {
	Path, Target string
}

// A BadRecord is a record that cannot be read.
type BadRecord struct {
	Path string
	Err  error
}

// Inspect returns what is in the records and in the map directory prefix of the
// bpffs at root. Unlike [OpenEndpoints] it changes nothing, not even what a killed
// process left. Without records, or without a bpffs, there is nothing to see, which
// is no error.
//
// It has the records to itself for a part of the time at once, so that no ADD waits
// long: what changes meanwhile may look wrong. It waits if another process has them:
// [ErrLocked]. Further errors: [ErrUnsafe], [ErrMounted], [ErrLayout], [ErrStacked].
// Records is set in any case.
func Inspect(ctx context.Context, root, prefix string) (Inspection, error) {
	seen := Inspection{Records: path.Join(root, recordsDir), FreeIDs: MaxEndpoints}
	maps, err := NewMapDir(root, prefix)
	if err != nil {
		return seen, err
	}
	top, err := openTop(root)
	if errors.Is(err, ErrNotMounted) {
		return seen, nil
	}
	if err != nil {
		return seen, err
	}
	e := &Endpoints{root: top, asIs: true}
	defer e.Close()
	pins, errPins := listPins(top, maps) // first: whoever pins has recorded it
	err = e.openAsIs(ctx)
	if err != nil && !errors.Is(err, ErrNoRecords) {
		return seen, e.in(err)
	}
	i := &inspector{e, ctx, &seen}
	if err == nil {
		err = i.records()
		if !i.lost() {
			err = errlist.Join(err, i.indexBelow(attachmentsDir))
		}
	} else {
		err = nil
	}
	e.giveBack()
	return seen, e.in(errlist.Join(err, errPins, i.foreign(pins)))
}

// openAsIs is open for whoever only looks.
func (e *Endpoints) openAsIs(ctx context.Context) error {
	return e.checkAsIs(func() error { return e.lock(ctx, flock.File) })
}

// checkAsIs makes the checks of open around the step that opens the records.
func (e *Endpoints) checkAsIs(open func() error) error {
	err := e.root.CheckTop()
	if err == nil {
		err = e.root.Check(recordsDir)
	}
	if err == nil {
		err = open()
	}
	if err == nil {
		err = e.checkLayout(false)
	}
	if err == nil {
		err = e.checkParts()
	}
	return absentRecords(e.root.whose(err))
}

// An inspector looks through open records and tells what it has seen.
type inspector struct {
	*Endpoints

	ctx  context.Context //nolint:containedctx // of the call of Inspect, which it is
	seen *Inspection
}

func (i *inspector) records() error {
	names, err := i.list(i.ctx, endpointsDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, name := range names {
		if _, err := i.yield(i.ctx); err != nil {
			return err
		}
		ep, err := i.read(name)
		if found, ferr := i.cni.Exists(path.Join(endpointsDir, name)); ferr == nil && !found {
			continue // released since it was listed
		}
		if err != nil {
			i.seen.Unreadable = append(i.seen.Unreadable, BadRecord{i.cni.Path(path.Join(endpointsDir, name)), err})
			continue
		}
		i.seen.Endpoints = append(i.seen.Endpoints, ep)
		entry := indexPath(ep.Attachment)
		if has, err := i.cni.Readlink(entry); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		} else if has != name {
			i.seen.Unindexed = append(i.seen.Unindexed, Missing{i.cni.Path(entry), name})
		}
	}
	if i.seen.FreeIDs, err = i.FreeIDs(); err != nil {
		return err
	}
	scratch, err := i.cni.Exists(scratchDir)
	if scratch {
		i.seen.Scratch = i.cni.Path(scratchDir)
	}
	return err
}

// indexBelow looks at the directory name of the index and those below it.
func (i *inspector) indexBelow(name string) error {
	names, err := i.list(i.ctx, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && len(names) == 0 && name != attachmentsDir {
		i.seen.Empty = append(i.seen.Empty, i.cni.Path(name))
	}
	errs := []error{err}
	for _, n := range names {
		if _, err := i.yield(i.ctx); err != nil {
			return err
		}
		entry := path.Join(name, n)
		st, err := i.cni.Stat(entry)
		switch {
		case errors.Is(err, fs.ErrNotExist): // gone since it was listed
		case err != nil:
			errs = append(errs, err)
		case st.Mode.IsDir():
			errs = append(errs, i.indexBelow(entry))
			if i.lost() {
				return errlist.Join(errs...)
			}
		case !i.confirmed(entry):
			i.seen.Unconfirmed = append(i.seen.Unconfirmed, i.cni.Path(entry))
		}
	}
	return errlist.Join(errs...)
}

// confirmed reports whether a record has the attachment of an entry of the index.
func (i *inspector) confirmed(entry string) bool {
	name, err := i.cni.Readlink(entry)
	if err != nil {
		return false
	}
	id, err := parseID(name)
	if err != nil {
		return false
	}
	owner, err := i.record(id).owner()
	return err == nil && path.Join(attachmentsDir, owner) == entry
}

// listPins returns the paths of all that is in the map directory, below the root.
func listPins(top *rootDir, maps MapDir) ([]string, error) {
	err := owned.Walk(maps.Prefix(), top.Check)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrUnsafe) || errors.Is(err, ErrMounted) {
		return nil, nil // what is not ours is not looked into; UnsafeDirs tells of it
	}
	if err != nil {
		return nil, err
	}
	names, err := top.List(maps.Prefix())
	if err != nil {
		return nil, fmt.Errorf("listing the map directory: %w", err)
	}
	slices.Sort(names)
	for n, name := range names {
		names[n] = path.Join(maps.Prefix(), name)
	}
	return names, nil
}

// foreign compares the pins with the records, which were read later: what is gone by
// now may have been owned. With a record that cannot be read it cannot be known whose
// a pin is with that ID.
func (i *inspector) foreign(pins []string) error {
	taken := make(map[string]bool)
	for _, ep := range i.seen.Endpoints {
		for _, pin := range ep.Pins {
			taken[pin] = true
		}
	}
	var errs []error
	for _, pin := range pins {
		at := path.Join(i.Root(), pin)
		if taken[at] {
			continue
		}
		there, err := i.root.Exists(pin)
		errs = append(errs, err)
		if there {
			i.seen.Foreign = append(i.seen.Foreign, at)
		}
	}
	return errlist.Join(errs...)
}
