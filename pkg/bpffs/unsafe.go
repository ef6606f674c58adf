package bpffs

import (
	"errors"
	"io/fs"
)

// An UnsafeDir is a directory that [ErrUnsafe] is about.
type UnsafeDir struct {
	Path string
	Mode fs.FileMode
	UID  uint32 // whom it belongs to
	Err  error
}

// UnsafeDirs returns all that another user could have prepared or could change of
// the root of a bpffs, the directory of the records and the map directory. What is
// missing is safe, also the bpffs itself.
func UnsafeDirs(d MapDir) ([]UnsafeDir, error) {
	root, err := openBPF(d.Root())
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer root.f.Close()
	var found []UnsafeDir
	look := func(root *dir, name string) error {
		err := checkOwned(root, name)
		if name == "." {
			err = checkRootDir(root)
		}
		if !errors.Is(err, ErrUnsafe) {
			return err
		}
		st, serr := root.stat(name)
		if serr != nil {
			return serr
		}
		found = append(found, UnsafeDir{root.path(name), st.mode, st.owner, err})
		if !st.mode.IsDir() {
			return fs.ErrNotExist // nothing is below it
		}
		return nil
	}
	for _, name := range []string{".", recordsDir} {
		if err := look(root, name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return found, err
		}
	}
	err = walkOwned(root, d.Prefix(), look)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return found, err
}
