package install

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/conflist"
)

// errChanged: the main plugin has written its file in the meantime.
var errChanged = errors.New("it was changed by somebody else in the meantime")

// attempts is how often a file is edited that changes under the edit.
const attempts = 10

// edit replaces the list in the file by what change makes of it. Somebody else's
// version that comes in between is neither lost nor overwritten, but edited in
// turn.
func (in Installer) edit(d *dir, f conflist.File, change func([]byte) ([]byte, error)) error {
	name := filepath.Base(f.Path)
	for range attempts {
		data, err := change(f.Data)
		if err != nil {
			return fmt.Errorf("%s: %w", f.Path, err)
		}
		if bytes.Equal(data, f.Data) {
			return nil
		}
		err = d.replace(name, f.Data, data)
		if err == nil {
			in.Log("changed %s: its plugins are now %s", f.Path, types(data))
			return nil
		}
		if !errors.Is(err, errChanged) {
			return err
		}
		f.Data, err = os.ReadFile(f.Path)
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s: %w", f.Path, errChanged)
		}
		if err != nil {
			return err
		}
	}
	return fmt.Errorf("%s: %w, %d times in a row", f.Path, errChanged, attempts)
}

// types lists the types of the plugins.
func types(data []byte) (all []string) {
	list, _ := conflist.Parse(data)
	for _, p := range list.Plugins {
		all = append(all, p.Type)
	}
	return all
}

// replace makes the file have the content now instead of before, with the mode
// and the owner that it has. [errChanged] if it had another one.
func (d *dir) replace(name string, before, now []byte) error {
	path, temp := d.join(name), d.join(scratch)
	fi, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return errChanged
	}
	if err != nil {
		return err
	}
	if !fi.Mode().IsRegular() {
		return fmt.Errorf("%s is a symbolic link, so that somebody else manages what it leads to; use --mode drop-in, or put a file in its place", path)
	}
	if err := d.write(now, fi.Mode().Perm(), fi); err != nil {
		return err
	}
	if err := d.swap(path, temp, before, now); err != nil {
		return errors.Join(err, d.clear())
	}
	return errors.Join(d.clear(), d.sync())
}

// swap puts the file temp, which has the content now, in the place of path. After
// it temp is what was replaced. If that is not before, somebody else has written
// since it was read: it is put back, unless there is a yet newer one by then.
func (d *dir) swap(path, temp string, before, now []byte) error {
	err := exchange(temp, path)
	if errors.Is(err, errNoExchange) {
		return renameOver(path, temp, before)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return errChanged
	}
	if err != nil || holds(temp, before) {
		return err
	}
	if err := exchange(temp, path); err != nil {
		return err
	}
	if !holds(temp, now) {
		return errors.Join(errChanged, exchange(temp, path))
	}
	return errChanged
}

// renameOver is swap where the file system can only rename. What somebody else
// writes between its two steps is lost until they write again.
func renameOver(path, temp string, before []byte) error {
	if !holds(path, before) {
		return errChanged
	}
	return os.Rename(temp, path)
}

func holds(path string, content []byte) bool {
	is, err := os.ReadFile(path)
	return err == nil && bytes.Equal(is, content)
}
