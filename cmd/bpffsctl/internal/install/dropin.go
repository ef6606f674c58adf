package install

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/containernetworking/cni/pkg/utils"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/conflist"
)

// The files in the directory of a network.
const (
	dropInName = "bpffs.conf"
	madeName   = ".bpffs-made" // says that the directory was made for bpffs.conf
)

// writeDropIn writes the plugin's file into the directory of the network. It comes
// there, and leaves, by a rename in the directory above: that is what makes
// containerd look, which does not watch the directories of networks.
func (in Installer) writeDropIn(d *dir, network, path string) error {
	if err := d.makeNetworkDir(network); err != nil {
		return err
	}
	if err := d.write(in.dropInContent(), 0o644, nil); err != nil {
		return err
	}
	if err := os.Rename(d.join(scratch), path); err != nil {
		return errors.Join(err, d.clear())
	}
	in.Log("wrote %s", path)
	return errors.Join(syncDir(filepath.Dir(path)), d.sync())
}

func (in Installer) dropInContent() []byte {
	var out bytes.Buffer
	_ = json.Indent(&out, bytes.TrimSpace(in.Plugin), "", "  ") // cannot fail: it was checked
	return append(out.Bytes(), '\n')
}

// makeNetworkDir makes the directory of the network, with a note in it that it was
// made here, if it is missing.
func (d *dir) makeNetworkDir(network string) error {
	path, temp := d.join(network), d.join(scratch)
	if _, err := os.Lstat(path); err == nil {
		return nil
	}
	if err := os.Mkdir(temp, 0o755); err != nil {
		return d.unwritable(err)
	}
	if err := os.WriteFile(filepath.Join(temp, madeName), nil, 0o644); err != nil {
		return errors.Join(err, d.clear())
	}
	return os.Rename(temp, path)
}

func (in Installer) removeFiles(d *dir, files []conflist.File) error {
	for _, f := range files {
		err := os.Rename(f.Path, d.join(scratch))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		in.Log("removed %s", f.Path)
		if err := d.clear(); err != nil {
			return err
		}
	}
	return nil
}

// removeNetworkDir removes the directory if it was made for our file and holds
// nothing any more. A network without a valid name has none.
func (d *dir) removeNetworkDir(network string) error {
	if utils.ValidateNetworkName(network) != nil {
		return nil //nolint:nilerr // as it says
	}
	path := d.join(network)
	entries, err := os.ReadDir(path)
	if err != nil || len(entries) != 1 || entries[0].Name() != madeName {
		return nil //nolint:nilerr // what is missing or in use stays as it is
	}
	if err := os.Rename(path, d.join(scratch)); err != nil {
		return err
	}
	return errors.Join(d.clear(), d.sync())
}

func syncDir(path string) error {
	f, err := os.OpenFile(path, dirFlags, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
