package bpffs

import (
	"errors"
	"io/fs"
	"os"
	"path"
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
func UnsafeDirs(dir MapDir) ([]UnsafeDir, error) {
	root, err := openBPF(dir.Root())
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer root.Close()
	var found []UnsafeDir
	look := func(root *os.Root, name string) error {
		err := checkOwned(root, name)
		if name == "." {
			err = checkRootDir(root)
		}
		if !errors.Is(err, ErrUnsafe) {
			return err
		}
		fi, serr := root.Lstat(name)
		if serr != nil {
			return serr
		}
		found = append(found, UnsafeDir{path.Join(dir.Root(), name), fi.Mode(), ownerOf(fi), err})
		if !fi.IsDir() {
			return fs.ErrNotExist // nothing is below it
		}
		return nil
	}
	for _, name := range []string{".", recordsDir} {
		if err := look(root, name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return found, err
		}
	}
	err = walkOwned(root, dir.Prefix(), look)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return found, err
}
