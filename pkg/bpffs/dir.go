package bpffs

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"syscall"
	"time"
)

// emptyDirLinks is the link count of a directory of a bpffs without directories
// in it; each one counts for one more.
const emptyDirLinks = 2

// dirFlags open a directory for package os, which need not find out then whether
// it can be polled: that would be four more system calls.
const dirFlags = os.O_RDONLY | syscall.O_DIRECTORY | syscall.O_NOFOLLOW | syscall.O_NONBLOCK

// A dir is an open directory in which only this process's user can make
// anything, so that no link can be in the way. A name may be a path of several
// components; it is looked up in one system call, where [os.Root] would open
// each component by itself to be safe from links. Errors name the whole path.
type dir struct {
	f  *os.File
	fd int
}

// newDir takes over the open directory f.
func newDir(f *os.File) *dir {
	return &dir{f, int(f.Fd())}
}

func (d *dir) path(name string) string {
	return path.Join(d.f.Name(), name)
}

// links returns the link count of what is at name, see emptyDirLinks.
func (d *dir) links(name string) (uint64, error) {
	n, err := linksAt(d.fd, name)
	return n, wrapPath("stat", d.path(name), err)
}

// exists reports whether anything is at name, links not followed.
func (d *dir) exists(name string) (bool, error) {
	_, err := d.links(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// mkdir makes the directory name, which must be missing.
func (d *dir) mkdir(name string) error {
	return wrapPath("mkdir", d.path(name), mkdirAt(d.fd, name, 0o700))
}

// mkdirAll makes the directory name and those above it that are missing.
func (d *dir) mkdirAll(name string) error {
	for i, c := range name + "/" {
		if c != '/' {
			continue
		}
		if err := d.mkdir(name[:i]); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

// rename moves the directory from to the name to, which must be missing or an
// empty directory.
func (d *dir) rename(from, to string) error {
	return wrapPath("rename", d.path(from), renameAt(d.fd, from, to))
}

// list returns the names in the directory name.
func (d *dir) list(name string) ([]string, error) {
	fd, err := openDirAt(d.fd, name)
	if err != nil {
		return nil, wrapPath("open", d.path(name), err)
	}
	f := os.NewFile(uintptr(fd), d.path(name))
	defer f.Close()
	return f.Readdirnames(-1)
}

// symlink makes the symbolic link name, which must be missing.
func (d *dir) symlink(target, name string) error {
	return wrapPath("symlink", d.path(name), symlinkAt(target, d.fd, name))
}

// readlink returns the target of the symbolic link name.
func (d *dir) readlink(name string) (string, error) {
	target, err := readlinkAt(d.fd, name)
	return target, wrapPath("readlink", d.path(name), err)
}

// modTime returns when the directory name was last written to: when it was made,
// if it holds nothing but what it was made with.
func (d *dir) modTime(name string) (time.Time, error) {
	t, err := modTimeAt(d.fd, name)
	return t, wrapPath("stat", d.path(name), err)
}

// remove removes the empty directory or the symbolic link name; what is gone
// already is success.
func (d *dir) remove(name string) error {
	err := rmdirAt(d.fd, name)
	if errors.Is(err, syscall.ENOTDIR) {
		err = unlinkAt(d.fd, name)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return wrapPath("remove", d.path(name), err)
}

// removeEmpty removes the directory name if it is there and empty. It asks
// before, for where a bpffs is mounted read-only the attempt would be an error.
func (d *dir) removeEmpty(name string) error {
	links, err := d.links(name)
	if errors.Is(err, fs.ErrNotExist) || err == nil && links > emptyDirLinks {
		return nil
	}
	if err != nil {
		return err
	}
	return d.remove(name)
}

// removeAll removes the directory name and all directories and links in it.
func (d *dir) removeAll(name string) error {
	err := d.remove(name)
	if !isNotEmpty(err) {
		return err
	}
	names, err := d.list(name)
	if err != nil {
		return err
	}
	for _, n := range names {
		if err := d.removeAll(path.Join(name, n)); err != nil {
			return err
		}
	}
	return d.remove(name)
}

// leaves returns the directories below name that hold no other, as paths below
// it.
func (d *dir) leaves(name string) ([]string, error) {
	names, err := d.list(name)
	if err != nil {
		return nil, err
	}
	var found []string
	for _, n := range names {
		links, err := d.links(path.Join(name, n))
		if err != nil {
			return nil, err
		}
		if links <= emptyDirLinks {
			found = append(found, n)
			continue
		}
		below, err := d.leaves(path.Join(name, n))
		if err != nil {
			return nil, err
		}
		for _, b := range below {
			found = append(found, path.Join(n, b))
		}
	}
	return found, nil
}

func (d *dir) close() error { return d.f.Close() }

// wrapPath says of the error of a system call what it was called for.
func wrapPath(op, path string, err error) error {
	if err == nil {
		return nil
	}
	return &os.PathError{Op: op, Path: path, Err: err}
}

// isNotEmpty reports whether err says that a directory was not removed because
// there is something in it.
func isNotEmpty(err error) bool {
	return errors.Is(err, syscall.ENOTEMPTY)
}
