package bpffs

import (
	"errors"
	"fmt"
	"path"
	"slices"
)

// Allocate returns the endpoint ID of the attachment and records that the local
// maps names are its pins, whoever creates them. The first call for an
// attachment finds a free ID, and says that it is new: an ID none of whose paths
// is occupied. A later call gives the same ID and adds the names that are new;
// one whose path is occupied by something unrecorded is [ErrOccupied].
//
// [ErrFull] if there is no ID left.
func (e *Endpoints) Allocate(a Attachment, names ...string) (id uint16, isNew bool, err error) {
	if err := errors.Join(a.Check(), checkMapNames(names)); err != nil {
		return 0, false, err
	}
	id, err = e.lookUp(a)
	if err == nil && id != 0 {
		return id, false, e.in(e.addPins(id, names))
	}
	if err == nil {
		id, err = e.search(a, names)
	}
	if err != nil {
		return 0, false, e.in(err)
	}
	if err := e.insert(a, id, names); err != nil {
		return 0, false, errors.Join(
			fmt.Errorf("recording endpoint %d at %s: %w", id, e.dir.Root(), err), e.clearScratch(), e.Release(a))
	}
	return id, true, nil
}

func checkMapNames(names []string) error {
	for _, name := range names {
		if err := CheckMapName(name); err != nil {
			return fmt.Errorf("the name of a local map: %w", err)
		}
	}
	return nil
}

// search returns the first ID in the order of the attachment that has no record
// and whose paths are not occupied.
func (e *Endpoints) search(a Attachment, names []string) (uint16, error) {
	maps, err := e.root.open(e.dir.Prefix())
	if err != nil {
		return 0, err
	}
	defer maps.f.Close()
	for id := range a.candidates() {
		if taken, err := e.cni.exists(path.Join(endpointsDir, formatID(id))); err != nil {
			return 0, err
		} else if taken {
			continue
		}
		if occupied, err := anyExists(maps, names, id); err != nil {
			return 0, err
		} else if !occupied {
			return id, nil
		}
	}
	return 0, fmt.Errorf("%w: all %d at %s are in use or their paths are occupied", ErrFull, MaxEndpoints, e.dir.Root())
}

// insert records that the attachment has id. The entry in the index comes first
// and is believed only together with the record, which appears whole or not at
// all: nothing that a kill leaves here misleads, and a DEL of the attachment
// finds it.
func (e *Endpoints) insert(a Attachment, id uint16, names []string) error {
	index := path.Join(attachmentsDir, a.path())
	if err := e.cni.mkdirAll(path.Dir(index)); err != nil {
		return err
	}
	if err := e.setLink(index, formatID(id)); err != nil {
		return err
	}
	if err := e.cni.mkdir(scratchDir); err != nil {
		return err
	}
	if err := e.cni.symlink(a.path(), path.Join(scratchDir, ownerLink)); err != nil {
		return err
	}
	if err := e.writePins(scratchDir, names); err != nil {
		return err
	}
	if err := e.cni.mkdirAll(endpointsDir); err != nil {
		return err
	}
	return e.cni.rename(scratchDir, path.Join(endpointsDir, formatID(id)))
}

// addPins records those of the local maps names that the endpoint id does not
// own yet, if all their paths are free.
func (e *Endpoints) addPins(id uint16, names []string) error {
	pins, err := e.readPins(id)
	if err != nil {
		return err
	}
	owned := pins[e.dir.Prefix()]
	missing := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return slices.Contains(owned, name) })
	if len(missing) == 0 {
		return nil
	}
	maps, err := e.root.open(e.dir.Prefix())
	if err != nil {
		return err
	}
	defer maps.f.Close()
	for _, name := range missing {
		if occupied, err := maps.exists(LocalMapName(name, id)); err != nil {
			return err
		} else if occupied {
			return fmt.Errorf("%s: %w by something that endpoint %d does not own: remove it or declare another name",
				path.Join(e.dir.Root(), e.pin(name, id)), ErrOccupied, id)
		}
	}
	return e.writePins(path.Join(endpointsDir, formatID(id)), missing)
}

// pin returns the path below the root of the local map name of the endpoint id.
func (e *Endpoints) pin(name string, id uint16) string {
	return path.Join(e.dir.Prefix(), LocalMapName(name, id))
}

// anyExists reports whether one of the local maps names of id is in maps.
func anyExists(maps *dir, names []string, id uint16) (bool, error) {
	for _, name := range names {
		if found, err := maps.exists(LocalMapName(name, id)); found || err != nil {
			return found, err
		}
	}
	return false, nil
}
