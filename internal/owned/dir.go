// Package owned works in directories that belong to this process's user alone,
// below one open directory, without following links.
package owned

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"syscall"
)

// EmptyLinks is the link count of a directory of a bpffs without directories in
// it; each one counts for one more.
const EmptyLinks = 2

// A Dir is an open directory. A name in it may be a path of several components;
// it is looked up in one system call, where [os.Root] would open each component
// by itself to be safe from links. So all but the last must be directories that
// are known to be ours alone ([Dir.Check]); the last is never followed. Errors
// name the whole path.
type Dir struct {
	f  *os.File
	fd int
	id Identity
}

// An Identity says which directory a [Dir] is, whatever leads to it.
type Identity struct {
	device, inode uint64
}

// Open opens the directory path, which may be a symbolic link to one. It does not
// go through [os.OpenFile], which makes a process ready to poll, and that ends it
// where no more files can be opened.
func Open(path string) (*Dir, error) {
	fd, err := openDirPath(path)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	d := &Dir{f: os.NewFile(uintptr(fd), path), fd: fd}
	st, err := d.Stat(".")
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	d.id = Identity{st.Device, st.Inode}
	return d, nil
}

// Open opens the directory name.
func (d *Dir) Open(name string) (*Dir, error) {
	fd, err := openDirAt(d.fd, name)
	if err != nil {
		return nil, d.wrap("open", name, err)
	}
	return &Dir{os.NewFile(uintptr(fd), d.Path(name)), fd, Identity{device: d.id.device}}, nil
}

// Identity returns which directory it is, of one that was opened by its path.
func (d *Dir) Identity() Identity { return d.id }

// File returns the open directory, which [Dir.Close] closes.
func (d *Dir) File() *os.File { return d.f }

// Close closes the directory.
func (d *Dir) Close() error { return d.f.Close() }

// Path returns the whole path of name.
func (d *Dir) Path(name string) string {
	return path.Join(d.f.Name(), name)
}

// Stat describes what is at name, links not followed.
func (d *Dir) Stat(name string) (Stat, error) {
	st, err := statAt(d.fd, name)
	return st, d.wrap("stat", name, err)
}

// Exists reports whether anything is at name, links not followed.
func (d *Dir) Exists(name string) (bool, error) {
	_, err := statAt(d.fd, name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, d.wrap("stat", name, err)
}

// Mkdir makes the directory name, which must be missing.
func (d *Dir) Mkdir(name string) error {
	return d.wrap("mkdir", name, mkdirAt(d.fd, name, 0o700))
}

// MkdirAll makes the directory name and those above it that are missing.
func (d *Dir) MkdirAll(name string) error {
	err := d.Mkdir(name)
	if errors.Is(err, fs.ErrNotExist) && name != "." {
		if err := d.MkdirAll(path.Dir(name)); err != nil {
			return err
		}
		err = d.Mkdir(name)
	}
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

// Rename moves the directory from to the name to, which must be missing or an
// empty directory.
func (d *Dir) Rename(from, to string) error {
	return d.wrap("rename", from, renameAt(d.fd, from, to))
}

// List returns the names in the directory name.
func (d *Dir) List(name string) ([]string, error) {
	sub, err := d.Open(name)
	if err != nil {
		return nil, err
	}
	defer sub.f.Close()
	return sub.f.Readdirnames(-1)
}

// Symlink makes the symbolic link name, which must be missing.
func (d *Dir) Symlink(target, name string) error {
	return d.wrap("symlink", name, symlinkAt(target, d.fd, name))
}

// Readlink returns the target of the symbolic link name.
func (d *Dir) Readlink(name string) (string, error) {
	target, err := readlinkAt(d.fd, name)
	return target, d.wrap("readlink", name, err)
}

// SetLink makes name a link to target, whatever link was there before.
func (d *Dir) SetLink(target, name string) error {
	err := d.Symlink(target, name)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	if has, err := d.Readlink(name); err != nil || has == target {
		return err
	}
	if err := d.Remove(name); err != nil {
		return err
	}
	return d.Symlink(target, name)
}

// Remove removes what is at name; a directory must be empty. What is gone already
// is success.
func (d *Dir) Remove(name string) error {
	err := unlinkAt(d.fd, name)
	if errors.Is(err, syscall.EISDIR) {
		err = rmdirAt(d.fd, name)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if errors.Is(err, syscall.EBUSY) {
		return fmt.Errorf("%w: %w: umount %s", d.wrap("remove", name, err), ErrMounted, d.Path(name))
	}
	return d.wrap("remove", name, err)
}

// RemoveEmpty removes the directory name if it is there, empty, and in a file
// system that is mounted for writing.
func (d *Dir) RemoveEmpty(name string) error {
	err := rmdirAt(d.fd, name)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTEMPTY) || errors.Is(err, syscall.EROFS) {
		return nil
	}
	return d.wrap("rmdir", name, err)
}

// wrap says of the error of a system call what it was called for.
func (d *Dir) wrap(op, name string, err error) error {
	if err == nil {
		return nil
	}
	return &os.PathError{Op: op, Path: d.Path(name), Err: err}
}
