package podfs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/cni-bpffs/cni-bpffs/internal/mounts"
)

// Limits on what is removed from a file system that a pod could fill. What is left is
// gone when its last mount is.
const (
	maxRemoved = 10_000
	mostDeep   = 16
)

// Clear removes the maps from the file system with the ID and detaches it, wherever
// it is: the maps go although another mount namespace has a copy of the mount. Then
// it removes the directory attached, on which it was. What is gone is success, and
// whatever else is at the path stays.
func Clear(id mounts.ID, attached string) error {
	root, err := id.Find(attached)
	if errors.Is(err, fs.ErrNotExist) {
		removeDirs(attached)
		return nil
	}
	if err != nil {
		return err
	}
	defer root.Close()
	if err := makeWritable(root); err != nil {
		return err
	}
	left := maxRemoved
	empty(root, mostDeep, &left)
	if err := detach(root); err != nil {
		return err
	}
	removeDirs(attached)
	return nil
}

// empty removes what is in the directory, as far as that can be and as many as are
// left to be removed.
func empty(dir *os.File, deep int, left *int) {
	for *left > 0 {
		names, err := dir.Readdirnames(min(*left, 100))
		for _, name := range names {
			*left--
			if unlinkAt(dir, name) == nil || deep == 0 {
				continue
			}
			if sub, err := openDirAt(dir, name); err == nil {
				empty(sub, deep-1, left)
				sub.Close()
				_ = rmdirAt(dir, name) // what stays goes with the file system
			}
		}
		if err != nil {
			return
		}
	}
}

// removeDirs removes the directory that a file system was attached to, and that of
// the interface above it. One that is not empty, or leads elsewhere by now, is the
// pod's. What stays goes with the volume.
func removeDirs(attached string) {
	for _, path := range []string{attached, filepath.Dir(attached)} {
		if dir, err := mounts.OpenDir(filepath.Dir(path)); err == nil {
			_ = rmdirAt(dir, filepath.Base(path))
			dir.Close()
		}
	}
}
