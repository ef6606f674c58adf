package bpffs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
)

// An Inspection is all that can be seen of the records and the map directory of
// one bpffs, for people who repair a node. Its paths are absolute.
type Inspection struct {
	Records     string      // the directory of the records, which is what is locked
	Endpoints   []Endpoint  // the records that can be read, in the order of their IDs
	Unreadable  []BadRecord // the others
	Unindexed   []Missing   // links that the index lacks, so that DEL and GC do not find a record
	Unconfirmed []string    // links in the index that no record confirms
	Empty       []string    // directories of the index without anything in them
	Scratch     string      // what is left of a record in the making or in removal, if anything
	Foreign     []string    // in the map directory, but owned by no record
	Free        int         // how many endpoint IDs have no owner
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

// Inspect returns what is in the records and the map directory. Unlike
// [OpenEndpoints] it changes nothing, not even what a killed process left. Without
// records, or without a bpffs, there is nothing to see, which is no error.
//
// It has the records to itself while it looks. If another process has them, it
// waits until ctx is done: [ErrLocked]. Further errors: [ErrUnsafe], [ErrLayout].
// Records is set in any case.
func Inspect(ctx context.Context, dir MapDir) (Inspection, error) {
	i := Inspection{Records: path.Join(dir.Root(), recordsDir), Free: MaxEndpoints}
	root, err := openBPF(dir.Root())
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrNotFound) {
		return i, nil
	}
	if err != nil {
		return i, err
	}
	e := &Endpoints{dir: dir, root: root}
	defer e.Close()
	if err := e.openAsIs(ctx); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return i, e.in(err)
	}
	if e.cni != nil {
		err = errors.Join(e.inspectRecords(&i), e.inspectIndex(&i, attachmentsDir))
	}
	return i, e.in(errors.Join(err, e.inspectMapDir(&i)))
}

// openAsIs is open for whoever only looks.
func (e *Endpoints) openAsIs(ctx context.Context) error {
	if err := checkRootDir(e.root); err != nil {
		return err
	}
	if err := checkOwned(e.root, recordsDir); err != nil {
		return err
	}
	if err := e.takeLock(ctx); err != nil {
		return err
	}
	names, err := e.cni.list(".")
	if err == nil && len(names) > 0 && !slices.Contains(names, layoutDir) {
		err = e.unknownLayout(names)
	}
	return err
}

func (e *Endpoints) inspectRecords(i *Inspection) (err error) {
	names, err := e.cni.list(endpointsDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	slices.Sort(names)
	for _, name := range names {
		ep, err := e.read(name)
		if err != nil {
			i.Unreadable = append(i.Unreadable, BadRecord{e.cni.path(path.Join(endpointsDir, name)), err})
			continue
		}
		i.Endpoints = append(i.Endpoints, ep)
		index := path.Join(attachmentsDir, ep.Attachment.path())
		if indexed, err := e.cni.readlink(index); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		} else if indexed != name {
			i.Unindexed = append(i.Unindexed, Missing{e.cni.path(index), name})
		}
	}
	if i.Free, err = e.Free(); err != nil {
		return err
	}
	scratch, err := e.cni.exists(scratchDir)
	if scratch {
		i.Scratch = e.cni.path(scratchDir)
	}
	return err
}

// inspectIndex looks at the directory name of the index and those below it.
func (e *Endpoints) inspectIndex(i *Inspection, name string) error {
	names, err := e.cni.list(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && len(names) == 0 && name != attachmentsDir {
		i.Empty = append(i.Empty, e.cni.path(name))
	}
	errs := []error{err}
	slices.Sort(names)
	for _, n := range names {
		entry := path.Join(name, n)
		st, err := e.cni.stat(entry)
		switch {
		case err != nil:
			errs = append(errs, err)
		case st.mode.IsDir():
			errs = append(errs, e.inspectIndex(i, entry))
		case !e.confirmed(entry):
			i.Unconfirmed = append(i.Unconfirmed, e.cni.path(entry))
		}
	}
	return errors.Join(errs...)
}

// confirmed reports whether a record has the attachment of an entry of the index.
func (e *Endpoints) confirmed(entry string) bool {
	name, err := e.cni.readlink(entry)
	if err != nil {
		return false
	}
	id, err := parseID(name)
	if err != nil {
		return false
	}
	owner, err := e.owner(id)
	return err == nil && path.Join(attachmentsDir, owner) == entry
}

// inspectMapDir compares the map directory with the records. With a record that
// cannot be read it cannot be known whose a pin is with that ID.
func (e *Endpoints) inspectMapDir(i *Inspection) error {
	err := walkOwned(e.root, e.dir.Prefix(), checkOwned)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrUnsafe) {
		return nil // what is not ours is not looked into; UnsafeDirs tells of it
	}
	if err != nil {
		return err
	}
	names, err := e.root.list(e.dir.Prefix())
	if err != nil {
		return fmt.Errorf("listing the map directory: %w", err)
	}
	owned := make(map[string]bool)
	for _, ep := range i.Endpoints {
		for _, pin := range ep.Pins {
			owned[pin] = true
		}
	}
	slices.Sort(names)
	for _, name := range names {
		if pin := e.dir.MapPath(name); !owned[pin] {
			i.Foreign = append(i.Foreign, pin)
		}
	}
	return nil
}
