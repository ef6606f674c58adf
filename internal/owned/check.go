package owned

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"syscall"
)

// Errors about directories.
var (
	// ErrUnsafe: another user could have prepared or could change the directory.
	ErrUnsafe = errors.New("unsafe directory")
	// ErrMounted: something is mounted on the directory, which hides ours.
	ErrMounted = errors.New("something is mounted there")
)

// CheckTop reports why others could replace our directories in d: it belongs to
// one of them, or they may write to it and no sticky bit keeps them from renaming
// what is ours.
func (d *Dir) CheckTop() error {
	st, err := d.Stat(".")
	if err != nil {
		return err
	}
	if !trusted(st.Owner) {
		return fmt.Errorf("%w: %s belongs to user %d, who can replace what is in it: chown it to root",
			ErrUnsafe, d.Path("."), st.Owner)
	}
	if st.Mode&0o022 != 0 && st.Mode&fs.ModeSticky == 0 {
		return fmt.Errorf("%w: %s has mode %v, so other users can replace what is in it: chmod go-w it",
			ErrUnsafe, d.Path("."), st.Mode)
	}
	return nil
}

// Check reports why the directory name is not ours alone.
func (d *Dir) Check(name string) error {
	st, err := d.Stat(name)
	if err != nil {
		return err
	}
	full := d.Path(name)
	if hidden, err := d.isHidden(name, st); err != nil {
		return err
	} else if hidden {
		return d.mounted(name)
	}
	if !st.Mode.IsDir() {
		return fmt.Errorf("%w: %s is not a directory (%v): remove it", ErrUnsafe, full, st.Mode)
	}
	if int(st.Owner) != os.Geteuid() {
		return fmt.Errorf("%w: %s belongs to user %d, not %d: find out who created it; remove it only if nobody uses it",
			ErrUnsafe, full, st.Owner, os.Geteuid())
	}
	if st.Mode&0o022 != 0 {
		return fmt.Errorf("%w: %s has mode %v, so other users can write to it: chmod go-w it", ErrUnsafe, full, st.Mode)
	}
	return nil
}

// CheckWhole is [Dir.Check] for a directory that things are moved to and from: not
// even the directory itself may be mounted on it, for the kernel moves nothing from
// one mount to another.
func (d *Dir) CheckWhole(name string) error {
	if err := d.Check(name); err != nil {
		return err
	}
	st, err := d.Stat(name)
	if err == nil && st.MountRoot {
		err = d.mounted(name)
	}
	return err
}

func (d *Dir) mounted(name string) error {
	full := d.Path(name)
	return fmt.Errorf("%s: %w and hides the records or the maps: umount %s", full, ErrMounted, full)
}

// isHidden reports whether st, which is seen at name, is mounted over something
// else: another file system, or another directory of this one.
func (d *Dir) isHidden(name string, st Stat) (bool, error) {
	if st.Device != d.id.device || !st.MountRoot {
		return st.Device != d.id.device, nil
	}
	below, err := statCovered(d.fd, path.Dir(name), path.Base(name))
	return err == nil && below.Inode != st.Inode, err
}

// Make makes sure that the directory name is there and ours.
func (d *Dir) Make(name string) error {
	err := d.Check(name)
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := d.Mkdir(name); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return d.Check(name)
}

// Walk calls step for the directory name and every directory above it, the top
// one first, until one fails.
func Walk(name string, step func(name string) error) error {
	for i, c := range name + "/" {
		if c != '/' {
			continue
		}
		if err := step(name[:i]); err != nil {
			return err
		}
	}
	return nil
}

// IsAbsent reports whether the error of a look means that nothing is at the path:
// it, or what it leads through, is missing, is no directory, is a loop of links,
// or has a name that cannot exist. After any other error it is not known.
func IsAbsent(err error) bool {
	for _, absent := range []error{syscall.ENOENT, syscall.ENOTDIR, syscall.ELOOP, syscall.ENAMETOOLONG} {
		if errors.Is(err, absent) {
			return true
		}
	}
	return false
}
