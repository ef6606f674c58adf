package bpffs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
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
func checkRootDir(root *dir) error {
	st, err := root.stat(".")
	if err != nil {
		return err
	}
	if st.owner != 0 && int(st.owner) != os.Geteuid() {
		return fmt.Errorf("%w: %s belongs to user %d, who can replace what is in it: chown it to root",
			ErrUnsafe, root.path("."), st.owner)
	}
	if st.mode&0o022 != 0 && st.mode&fs.ModeSticky == 0 {
		return fmt.Errorf("%w: %s has mode %v, so other users can replace what is in it: chmod 0700 it",
			ErrUnsafe, root.path("."), st.mode)
	}
	return nil
}

// checkOwned reports why the directory name below root is not ours alone.
func checkOwned(root *dir, name string) error {
	st, err := root.stat(name)
	if err != nil {
		return err
	}
	full := root.path(name)
	if !st.mode.IsDir() {
		return fmt.Errorf("%w: %s is not a directory but %v: %w: remove it", ErrUnsafe, full, st.mode, ErrNotOurs)
	}
	if int(st.owner) != os.Geteuid() {
		return fmt.Errorf("%w: %s belongs to user %d, wanted %d: %w: look who did, then remove it",
			ErrUnsafe, full, st.owner, os.Geteuid(), ErrNotOurs)
	}
	if st.mode&0o022 != 0 {
		return fmt.Errorf("%w: %s has mode %v, so other users can write to it: chmod go-w it", ErrUnsafe, full, st.mode)
	}
	return nil
}

// walkOwned calls step for the directory name and every directory above it below
// root, the top one first.
func walkOwned(root *dir, name string, step func(root *dir, name string) error) error {
	for i, c := range name + "/" {
		if c != '/' {
			continue
		}
		if err := step(root, name[:i]); err != nil {
			return err
		}
	}
	return nil
}

// makeOwned makes sure that the directory name below root is there and ours.
func makeOwned(root *dir, name string) error {
	err := checkOwned(root, name)
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := root.mkdir(name); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return checkOwned(root, name)
}
