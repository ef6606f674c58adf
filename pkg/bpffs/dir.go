package bpffs

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"syscall"
)

// emptyDirLinks is the link count of a directory of a bpffs without directories
// in it; each one counts for one more.
const emptyDirLinks = 2

// A dir is an open directory. A name in it may be a path of several components;
// it is looked up in one system call, where [os.Root] would open each component
// by itself to be safe from links. So all but the last must be directories that
// are known to be ours alone (checkOwned); the last is never followed. Errors
// name the whole path.
type dir struct {
	f  *os.File
	fd int
}

// openDir opens the directory path, which may be a symbolic link to one. Neither
// it nor open goes through [os.OpenFile], which makes a process ready to poll,
// and that ends it where no more files can be opened.
func openDir(path string) (*dir, error) {
	fd, err := openDirPath(path)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return &dir{os.NewFile(uintptr(fd), path), fd}, nil
}

// open opens the directory name.
func (d *dir) open(name string) (*dir, error) {
	fd, err := openDirAt(d.fd, name)
	if err != nil {
		return nil, d.wrap("open", name, err)
	}
	return &dir{os.NewFile(uintptr(fd), d.path(name)), fd}, nil
}

func (d *dir) path(name string) string {
	return path.Join(d.f.Name(), name)
}

// stat describes what is at name, links not followed.
func (d *dir) stat(name string) (fileStat, error) {
	st, err := statAt(d.fd, name)
	return st, d.wrap("stat", name, err)
}

// exists reports whether anything is at name, links not followed.
func (d *dir) exists(name string) (bool, error) {
	_, err := statAt(d.fd, name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, d.wrap("stat", name, err)
}

// mkdir makes the directory name, which must be missing.
func (d *dir) mkdir(name string) error {
	return d.wrap("mkdir", name, mkdirAt(d.fd, name, 0o700))
}

// mkdirAll makes the directory name and those above it that are missing.
func (d *dir) mkdirAll(name string) error {
	err := d.mkdir(name)
	if errors.Is(err, fs.ErrNotExist) && name != "." {
		if err := d.mkdirAll(path.Dir(name)); err != nil {
			return err
		}
		err = d.mkdir(name)
	}
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

// rename moves the directory from to the name to, which must be missing or an
// empty directory.
func (d *dir) rename(from, to string) error {
	return d.wrap("rename", from, renameAt(d.fd, from, to))
}

// list returns the names in the directory name.
func (d *dir) list(name string) ([]string, error) {
	sub, err := d.open(name)
	if err != nil {
		return nil, err
	}
	defer sub.f.Close()
	return sub.f.Readdirnames(-1)
}

// symlink makes the symbolic link name, which must be missing.
func (d *dir) symlink(target, name string) error {
	return d.wrap("symlink", name, symlinkAt(target, d.fd, name))
}

// readlink returns the target of the symbolic link name.
func (d *dir) readlink(name string) (string, error) {
	target, err := readlinkAt(d.fd, name)
	return target, d.wrap("readlink", name, err)
}

// remove removes what is at name; a directory must be empty. What is gone already
// is success.
func (d *dir) remove(name string) error {
	err := unlinkAt(d.fd, name)
	if errors.Is(err, syscall.EISDIR) {
		err = rmdirAt(d.fd, name)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return d.wrap("remove", name, err)
}

// removeEmpty removes the directory name if it is there, empty, and in a bpffs
// that is mounted for writing.
func (d *dir) removeEmpty(name string) error {
	err := rmdirAt(d.fd, name)
	if errors.Is(err, fs.ErrNotExist) || isNotEmpty(err) || errors.Is(err, syscall.EROFS) {
		return nil
	}
	return d.wrap("rmdir", name, err)
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

func (d *dir) close() error { return d.f.Close() }

// wrap says of the error of a system call what it was called for.
func (d *dir) wrap(op, name string, err error) error {
	if err == nil {
		return nil
	}
	return &os.PathError{Op: op, Path: d.path(name), Err: err}
}

// isNotEmpty reports whether err says that a directory was not removed because
// there is something in it.
func isNotEmpty(err error) bool {
	return errors.Is(err, syscall.ENOTEMPTY)
}
