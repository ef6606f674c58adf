package lost

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/inventory"
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

// namespaces is where runtimes keep the network namespaces of pods. /var/run is a link
// to /run, or what it has is in another directory.
const namespaces = "/run/netns"

// nameOf returns the name of a network namespace that is recorded directly in the
// directory where runtimes keep them; empty if it is elsewhere, or not known.
func nameOf(path string) string {
	for _, dir := range []string{namespaces, "/var" + namespaces} {
		name, ok := strings.CutPrefix(path, dir+"/")
		if ok && !strings.Contains(name, "/") && name != "." && name != ".." {
			return name
		}
	}
	return ""
}

// A directory is one with network namespaces, open.
type directory struct {
	*os.Root
	id bpffs.DirID
}

// openDirectory opens the directory of network namespaces below the directory node.
func openDirectory(node string) (d directory, err error) {
	if d.Root, err = os.OpenRoot(filepath.Join(node, namespaces)); err != nil {
		return d, err
	}
	fi, err := d.Stat(".")
	if err != nil {
		return d, errors.Join(err, d.Close())
	}
	d.id = bpffs.DirIDOf(fi)
	return d, nil
}

// A finding is what is at a recorded network namespace.
type finding int

const (
	unknown   finding = iota // it cannot be said, or something is there
	gone                     // nothing is there any more
	elsewhere                // nothing is there, but it may never have been
)

// look says what is at the network namespace of the record. A file that is no namespace
// any more is not gone. Nor is what is missing here, unless it was in this very directory
// at ADD: in that of an image, a volume or another node everything is missing.
func (d directory) look(r inventory.Record) finding {
	name := nameOf(r.Details.NetNS)
	if r.Err != nil || name == "" {
		return unknown
	}
	_, err := d.Lstat(name)
	switch {
	case !errors.Is(err, fs.ErrNotExist):
		return unknown
	case r.NetNSIn != d.id:
		return elsewhere
	}
	return gone
}
