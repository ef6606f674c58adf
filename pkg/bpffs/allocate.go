package bpffs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
)

// Allocate returns the endpoint ID of the attachment and records that the local
// maps names are its pins, whoever creates them. The first call for an
// attachment finds a free ID, and says that it is new: an ID none of whose paths
// is occupied. A later call gives the same ID and adds the names that are new;
// one whose path is occupied by something unrecorded is [ErrOccupied].
//
// [ErrFull] if there is no ID left.
func (e *Endpoints) Allocate(a Attachment, names ...string) (id uint16, isNew bool, err error) {
	if err := a.Check(); err != nil {
		return 0, false, err
	}
	id, err = e.ID(a)
	if err == nil {
		return id, false, e.in(e.addPins(id, names))
	}
	if errors.Is(err, ErrNoEndpoint) {
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

// search returns the first ID in the order of the attachment that has no record
// and whose paths are not occupied.
func (e *Endpoints) search(a Attachment, names []string) (uint16, error) {
	maps, err := e.root.OpenRoot(e.dir.Prefix())
	if err != nil {
		return 0, err
	}
	defer maps.Close()
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
	if err := e.cni.removeAll(index); err != nil {
		return err
	}
	if err := e.cni.mkdirAll(path.Join(index, formatID(id))); err != nil {
		return err
	}
	if err := e.cni.mkdirAll(path.Join(scratchDir, ownerDir, a.path())); err != nil {
		return err
	}
	if err := e.recordPins(scratchDir, id, names); err != nil {
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
	record := path.Join(endpointsDir, formatID(id))
	var missing []string
	for _, name := range names {
		pin := e.pin(name, id)
		if ours, err := e.cni.exists(path.Join(record, pinsDir, pin)); err != nil {
			return err
		} else if ours {
			continue
		}
		if occupied, err := exists(e.root, pin); err != nil {
			return err
		} else if occupied {
			return fmt.Errorf("%s: %w by something that endpoint %d does not own: remove it or declare another name",
				path.Join(e.dir.Root(), pin), ErrOccupied, id)
		}
		missing = append(missing, name)
	}
	return e.recordPins(record, id, missing)
}

// recordPins adds the local maps names of id to a record.
func (e *Endpoints) recordPins(record string, id uint16, names []string) error {
	if len(names) == 0 {
		return nil
	}
	dir := path.Join(record, pinsDir, e.dir.Prefix())
	if err := e.cni.mkdirAll(dir); err != nil {
		return err
	}
	for _, name := range names {
		if err := e.cni.mkdir(path.Join(dir, LocalMapName(name, id))); err != nil {
			return err
		}
	}
	return nil
}

// pin returns the path below the root of the local map name of the endpoint id.
func (e *Endpoints) pin(name string, id uint16) string {
	return path.Join(e.dir.Prefix(), LocalMapName(name, id))
}

// anyExists reports whether one of the local maps names of id is in dir.
func anyExists(dir *os.Root, names []string, id uint16) (bool, error) {
	for _, name := range names {
		if found, err := exists(dir, LocalMapName(name, id)); found || err != nil {
			return found, err
		}
	}
	return false, nil
}

// exists reports whether anything is at name below root, links not followed.
func exists(root *os.Root, name string) (bool, error) {
	_, err := root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
