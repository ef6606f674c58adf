package bpffs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
)

// Errors about directories.
var (
	// ErrUnsafe: another user could have prepared or could change the directory.
	// Nothing below it is read, written or removed.
	ErrUnsafe = errors.New("unsafe directory")
	// ErrNotOurs: somebody else made the directory, so that it can hold nothing of
	// ours. It comes together with ErrUnsafe.
	ErrNotOurs = errors.New("somebody else made it")
)

// checkRootDir reports why others could replace our directories in the root: it
// belongs to one of them, or they may write to it and no sticky bit keeps them
// from renaming what is ours.
func checkRootDir(root *os.Root) error {
	fi, err := root.Stat(".")
	if err != nil {
		return err
	}
	if uid := ownerOf(fi); uid != 0 && int(uid) != os.Geteuid() {
		return fmt.Errorf("%w: %s belongs to user %d, who can replace what is in it: chown it to root",
			ErrUnsafe, root.Name(), uid)
	}
	if fi.Mode().Perm()&0o022 != 0 && fi.Mode()&fs.ModeSticky == 0 {
		return fmt.Errorf("%w: %s has mode %v, so other users can replace what is in it: chmod 0700 it",
			ErrUnsafe, root.Name(), fi.Mode())
	}
	return nil
}

// checkOwned reports why the directory name below root is not ours alone.
func checkOwned(root *os.Root, name string) error {
	fi, err := root.Lstat(name)
	if err != nil {
		return err
	}
	full := path.Join(root.Name(), name)
	if !fi.IsDir() {
		return fmt.Errorf("%w: %s is not a directory but %v: %w: remove it", ErrUnsafe, full, fi.Mode(), ErrNotOurs)
	}
	if uid := ownerOf(fi); int(uid) != os.Geteuid() {
		return fmt.Errorf("%w: %s belongs to user %d, wanted %d: %w: look who did, then remove it",
			ErrUnsafe, full, uid, os.Geteuid(), ErrNotOurs)
	}
	if fi.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("%w: %s has mode %v, so other users can write to it: chmod go-w it", ErrUnsafe, full, fi.Mode())
	}
	return nil
}

// walkOwned calls step for dir and every directory above it below root, the top
// one first.
func walkOwned(root *os.Root, dir string, step func(root *os.Root, name string) error) error {
	for i, c := range dir + "/" {
		if c != '/' {
			continue
		}
		if err := step(root, dir[:i]); err != nil {
			return err
		}
	}
	return nil
}

// makeOwned makes sure that the directory name below root is there and ours.
func makeOwned(root *os.Root, name string) error {
	err := checkOwned(root, name)
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := root.Mkdir(name, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return checkOwned(root, name)
}
