package install

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/conflist"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/input"
)

// errChanged: the main plugin has written its file in the meantime.
var errChanged = errors.New("something else changed it in the meantime")

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
		f.Data, err = input.ReadFile(f.Path)
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
	path := d.join(name)
	fi, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return errChanged
	}
	if err != nil {
		return err
	}
	if !fi.Mode().IsRegular() {
		return fmt.Errorf("%s is a symbolic link, so something else manages its target; use --mode drop-in, or replace the link by a file", path)
	}
	p := pending{name, digest(before), digest(now)}
	if err := os.Mkdir(d.join(scratch), 0o700); err != nil {
		return d.unwritable(err)
	}
	if err := d.writeFile(d.temp(p), now, fi.Mode().Perm(), fi); err != nil {
		return err
	}
	if err := d.swap(p); err != nil {
		return errors.Join(err, d.clear())
	}
	return errors.Join(d.clear(), d.sync())
}
