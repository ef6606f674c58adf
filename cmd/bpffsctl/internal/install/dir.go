package install

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/cni-bpffs/cni-bpffs/internal/flock"
)

// scratch is the name of what is being written or removed. It has no ending of a
// configuration, and no plugin is called like it.
const scratch = ".bpffs-install"

// A dir is a directory that no other installer changes until unlock.
type dir struct {
	path   string
	file   *os.File
	unlock func() // closes the file
}

// A node is the directory of plugins and that of networks, which may be the same.
// One that is missing is nil.
type node struct{ bin, conf *dir }

// openNode opens and locks both directories. All lock them in this order, and
// keep both until they are done: nobody else installs or uninstalls meanwhile.
func openNode(ctx context.Context, binDir, confDir string) (n node, err error) {
	n.bin, err = openDir(ctx, binDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return n, err
	}
	if n.bin != nil && n.bin.is(confDir) {
		return node{n.bin, n.bin}, nil
	}
	n.conf, err = openDir(ctx, confDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		n.Close()
		return node{}, err
	}
	return n, nil
}

// Close lets others change the directories.
func (n node) Close() {
	for _, d := range []*dir{n.bin, n.conf} {
		if d != nil {
			d.unlock()
		}
	}
}

// openDir opens and locks the directory, and removes what a killed process left.
func openDir(ctx context.Context, path string) (*dir, error) {
	f, err := os.OpenFile(path, dirFlags, 0)
	if err != nil {
		return nil, err
	}
	unlock, err := flock.File(ctx, f)
	if errors.Is(err, flock.ErrLocked) {
		return nil, fmt.Errorf("another bpffsctl is changing %s: %w", path, err)
	}
	if err != nil {
		return nil, err
	}
	d := &dir{path, f, unlock}
	if err := d.clear(); err != nil {
		d.unlock()
		return nil, err
	}
	return d, nil
}

// is reports whether the path leads to this directory.
func (d *dir) is(path string) bool {
	this, err := d.file.Stat()
	if err != nil {
		return false
	}
	other, err := os.Stat(path)
	return err == nil && os.SameFile(this, other)
}

func (d *dir) join(name string) string { return filepath.Join(d.path, name) }

// clear removes what has the scratch name: a file, the directory of a network that
// holds nothing but our note, or that of an edit, which is settled before.
func (d *dir) clear() error {
	path := d.join(scratch)
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return nil // a read-only file system refuses to remove even what is not there
	}
	if os.Remove(path) == nil {
		return nil
	}
	if err := d.clearDir(path); err != nil {
		return fmt.Errorf("removing what an interrupted bpffsctl left: %w", err)
	}
	return nil
}

func (d *dir) clearDir(path string) error {
	entries, err := os.ReadDir(path)
	if err != nil {
		return err
	}
	for _, e := range entries {
		p, ok := parsePending(e.Name())
		if ok {
			if err := d.settle(p); err != nil {
				return err
			}
		}
		if ok || e.Name() == madeName {
			if err := os.Remove(filepath.Join(path, e.Name())); err != nil {
				return err
			}
		}
	}
	if err := os.Remove(path); err != nil { // something else is in it
		return fmt.Errorf("%w; move it away: %s", err, moveAway(path))
	}
	return nil
}

// write makes the scratch file, on the disk, with the content and the mode, and
// the owner of like if that is not nil.
func (d *dir) write(content []byte, mode fs.FileMode, like fs.FileInfo) error {
	return d.writeFile(d.join(scratch), content, mode, like)
}

// writeFile is write for a file in the scratch directory.
func (d *dir) writeFile(path string, content []byte, mode fs.FileMode, like fs.FileInfo) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return d.unwritable(err)
	}
	defer func() {
		err = errors.Join(err, f.Close())
		if err != nil {
			err = errors.Join(err, d.clear())
		}
	}()
	if _, err := f.Write(content); err != nil {
		return err
	}
	if like != nil {
		if err := chownLike(f, like); err != nil {
			return err
		}
	}
	if err := f.Chmod(mode); err != nil {
		return err
	}
	return f.Sync()
}

// unwritable says what to do about a directory in which nothing can be made.
func (d *dir) unwritable(err error) error {
	if os.Geteuid() != 0 && errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w: run it as root", err)
	}
	return fmt.Errorf("%s must be writable for bpffsctl, in a container also its mount: %w", d.path, err)
}

// sync brings the names in the directory to the disk.
func (d *dir) sync() error { return d.file.Sync() }
