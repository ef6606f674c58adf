package bpffs

import (
	"errors"
	"fmt"
	"path"
	"slices"

	"github.com/cni-bpffs/cni-bpffs/internal/errlist"
	"github.com/cni-bpffs/cni-bpffs/internal/owned"
)

// Allocate returns the endpoint ID of the attachment and records that the local
// maps names, in the map directory prefix, are its pins, whoever creates them. The
// first call for an attachment finds a free ID, and says that it is new: an ID none
// of whose paths is occupied. A later call gives the same ID and adds the names
// that are new; one whose path is occupied by something unrecorded is
// [ErrOccupied]. The map directory is made if it is missing. An empty prefix is
// [DefaultMapPrefix].
//
// [ErrFull] if there is no ID left, [ErrUnsafe] if others can change the map
// directory.
func (e *Endpoints) Allocate(a Attachment, prefix string, names ...string) (id uint16, isNew bool, err error) {
	maps, err := NewMapDir(e.Root(), prefix)
	if err := errlist.Join(err, a.Check(), checkMapNames(names)); err != nil {
		return 0, false, e.in(err)
	}
	id, isNew, err = e.allocate(a, maps, names)
	return id, isNew, e.in(err)
}

func checkMapNames(names []string) error {
	for _, name := range names {
		if err := CheckMapName(name); err != nil {
			return fmt.Errorf("the name of a local map: %w", err)
		}
	}
	return nil
}

func (e *Endpoints) allocate(a Attachment, maps MapDir, names []string) (id uint16, isNew bool, err error) {
	if err := owned.Walk(maps.Prefix(), e.root.Make); err != nil {
		return 0, false, err
	}
	pins := pinGroup{maps.Prefix(), names}
	id, err = e.lookUp(a)
	if err == nil {
		return id, false, e.extend(e.record(id), pins)
	}
	if errors.Is(err, ErrNoEndpoint) {
		id, err = e.search(a, pins)
	}
	if err != nil {
		return 0, false, err
	}
	if err := e.insert(a, id, pins); err != nil {
		return 0, false, errlist.Join(fmt.Errorf("recording endpoint %d: %w", id, err), e.clearScratch(), e.release(a))
	}
	return id, true, nil
}

// search returns the first ID in the order of the attachment that has no record
// and whose paths are not occupied.
func (e *Endpoints) search(a Attachment, pins pinGroup) (uint16, error) {
	maps, err := e.root.Open(pins.dir)
	if err != nil {
		return 0, err
	}
	defer maps.Close()
	for id := range a.candidates() {
		if taken, err := e.record(id).exists(); err != nil {
			return 0, err
		} else if taken {
			continue
		}
		if occupied, err := firstOccupied(maps, pins.files(id)); err != nil {
			return 0, err
		} else if occupied == "" {
			return id, nil
		}
	}
	return 0, fmt.Errorf("%w: all %d are in use or their paths are occupied", ErrFull, MaxEndpoints)
}

// firstOccupied returns the first of the names in maps at which something is,
// empty if nothing is at any.
func firstOccupied(maps *owned.Dir, names []string) (string, error) {
	for _, name := range names {
		if found, err := maps.Exists(name); err != nil {
			return "", err
		} else if found {
			return name, nil
		}
	}
	return "", nil
}

// insert records that the attachment has id. The entry in the index comes first
// and is believed only together with the record, which appears whole or not at
// all: nothing that a kill leaves here misleads, and a DEL of the attachment
// finds it.
func (e *Endpoints) insert(a Attachment, id uint16, pins pinGroup) error {
	if err := e.index.add(a, id); err != nil {
		return err
	}
	if err := e.cni.Mkdir(scratchDir); err != nil {
		return err
	}
	r := record{e.cni, id, scratchDir}
	if err := e.cni.Symlink(a.path(), r.link(ownerLink)); err != nil {
		return err
	}
	if err := r.addPins(pins); err != nil {
		return err
	}
	if err := e.cni.MkdirAll(endpointsDir); err != nil {
		return err
	}
	return e.cni.Rename(scratchDir, e.record(id).dir)
}

// extend records those of the pins that the record does not have yet, if all their
// paths are free.
func (e *Endpoints) extend(r record, pins pinGroup) error {
	groups, err := r.pins()
	if err != nil {
		return err
	}
	has := make(map[string]bool)
	for _, g := range groups {
		if g.dir != pins.dir {
			continue
		}
		for _, name := range g.names {
			has[name] = true
		}
	}
	missing := pinGroup{pins.dir, slices.DeleteFunc(slices.Clone(pins.names), func(name string) bool { return has[name] })}
	if len(missing.names) == 0 {
		return nil
	}
	maps, err := e.root.Open(pins.dir)
	if err != nil {
		return err
	}
	defer maps.Close()
	if occupied, err := firstOccupied(maps, missing.files(r.id)); err != nil {
		return err
	} else if occupied != "" {
		return fmt.Errorf("%s: %w by something that endpoint %d does not own: remove it or declare another name",
			maps.Path(occupied), ErrOccupied, r.id)
	}
	return r.addPins(missing)
}

// IsRecorded reports whether the index of the bpffs at root has the attachment,
// without waiting for anybody. It is a hint: only the open records know.
func IsRecorded(root string, a Attachment) bool {
	top, err := openTop(root)
	if err != nil {
		return false
	}
	defer top.Close()
	found, err := top.Exists(path.Join(recordsDir, indexPath(a)))
	return found && err == nil
}

// Details are what the runtime says of an endpoint's container, kept for whoever
// looks for it. No verb depends on them.
type Details struct {
	Pod   string // "namespace/name" in Kubernetes; empty if there is none
	NetNS string // the path of the network namespace, as the runtime gave it
}

// SetDetails records the details of the endpoint id in place of earlier ones. What
// is empty in d is left as it was, and so is a pod longer than any path can be. A
// call with a network namespace changes the [Stamp]; one that is too long is none. In
// which directory the namespace is now is recorded, too: [Endpoint]. Such a call is the
// last that an ADD does: it makes the record whole for [Watch].
func (e *Endpoints) SetDetails(id uint16, d Details) error {
	return e.in(e.record(id).setDetails(d))
}
