package bpffs

import (
	"errors"
	"io/fs"
	"path"

	"github.com/cni-bpffs/cni-bpffs/internal/owned"
)

// An UnsafeDir is a directory, or a link to one, that [ErrUnsafe] or [ErrMounted] is
// about.
type UnsafeDir struct {
	Path  string
	Mode  fs.FileMode
	UID   uint32 // whom it belongs to
	Above bool   // it is on the way to the root
	Err   error
}

// UnsafeDirs returns all that another user could have prepared or could change of
// the way to the root of a bpffs, of the root itself, the directories of the records
// and the map directory prefix, and those of them that are hidden by what somebody
// has mounted there. What is missing is safe, also the bpffs itself.
func UnsafeDirs(root, prefix string) (found []UnsafeDir, err error) {
	maps, err := NewMapDir(root, prefix)
	if err != nil {
		return nil, err
	}
	way, err := follow(maps.Root())
	if err != nil {
		return nil, notAbsent(err)
	}
	if way.Unsafe != nil {
		found = append(found, UnsafeDir{way.At, way.Dir.Mode, way.Dir.Owner, true, way.Unsafe})
	}
	top, err := openTop(way.Path)
	if errors.Is(err, ErrNotMounted) {
		return found, nil
	}
	if err != nil {
		return found, err
	}
	defer top.Close()
	inside, err := top.unsafeDirs(maps.Prefix())
	return append(found, inside...), err
}

// notAbsent is err unless that says that there is nothing.
func notAbsent(err error) error {
	if owned.IsAbsent(err) {
		return nil
	}
	return err
}

// unsafeDirs is [UnsafeDirs] from the root on.
func (r *rootDir) unsafeDirs(prefix string) (found []UnsafeDir, err error) {
	add := func(name string, unsafe error) error {
		if !errors.Is(unsafe, ErrUnsafe) && !errors.Is(unsafe, ErrMounted) {
			return unsafe
		}
		st, err := r.Stat(name)
		if err != nil {
			return err
		}
		found = append(found, UnsafeDir{r.Path(name), st.Mode, st.Owner, false, unsafe})
		if !st.Mode.IsDir() || errors.Is(unsafe, ErrMounted) {
			return fs.ErrNotExist // nothing of ours is below it
		}
		return nil
	}
	check := func(name string) error { return add(name, r.Check(name)) }
	inRecords := func(name string) error { // where only we get, and somebody who mounts
		name = path.Join(recordsDir, name)
		err := r.CheckWhole(name)
		if errors.Is(err, ErrMounted) {
			return add(name, err)
		}
		if errors.Is(err, ErrUnsafe) {
			return nil
		}
		return notAbsent(err)
	}
	for _, err := range []error{
		add(".", r.CheckTop()), check(recordsDir), inRecords(endpointsDir), inRecords(attachmentsDir), owned.Walk(prefix, check),
	} {
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return found, err
		}
	}
	return found, nil
}
