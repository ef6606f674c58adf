package bpffs

import (
	"errors"
	"io/fs"

	"github.com/cni-bpffs/cni-bpffs/internal/owned"
)

// An UnsafeDir is a directory that [ErrUnsafe] is about.
type UnsafeDir struct {
	Path string
	Mode fs.FileMode
	UID  uint32 // whom it belongs to
	Err  error
}

// UnsafeDirs returns all that another user could have prepared or could change of
// the root of a bpffs, the directory of the records and the map directory prefix.
// What is missing is safe, also the bpffs itself.
func UnsafeDirs(root, prefix string) (found []UnsafeDir, err error) {
	maps, err := NewMapDir(root, prefix)
	if err != nil {
		return nil, err
	}
	top, _, err := openTop(root)
	if errors.Is(err, ErrNotMounted) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer top.Close()
	add := func(name string, unsafe error) error {
		if !errors.Is(unsafe, ErrUnsafe) {
			return unsafe
		}
		st, err := top.Stat(name)
		if err != nil {
			return err
		}
		found = append(found, UnsafeDir{top.Path(name), st.Mode, st.Owner, unsafe})
		if !st.Mode.IsDir() {
			return fs.ErrNotExist // nothing is below it
		}
		return nil
	}
	check := func(name string) error { return add(name, top.Check(name)) }
	for _, err := range []error{add(".", top.CheckTop()), check(recordsDir), owned.Walk(maps.Prefix(), check)} {
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return found, err
		}
	}
	return found, nil
}
