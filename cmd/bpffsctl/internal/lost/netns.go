package lost

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/sys/mountinfo"

	"github.com/cni-bpffs/cni-bpffs/internal/mounts"
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

// namespaces is where runtimes keep the network namespaces of pods. /var/run is a link
// to /run on every node that has it.
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

// A directory is the open directory with the network namespaces of the node.
type directory struct{ *os.Root }

// openDirectory opens the node's directory of network namespaces, which this process
// sees below the directory node. It is an error that it may be another one: in that,
// every namespace would look gone.
func openDirectory(node string) (directory, error) {
	path := filepath.Join(node, namespaces)
	root, err := os.OpenRoot(path)
	if err != nil {
		return directory{}, err
	}
	prove := checkReceives
	if node == onNode {
		prove = checkOnNode
	}
	if err := prove(root); err != nil {
		return directory{}, errors.Join(err, root.Close())
	}
	return directory{root}, nil
}

// isGone reports whether there is nothing at all at the recorded path. A file that is no
// network namespace any more is not gone, nor is what cannot be looked at, or is
// recorded elsewhere.
func (d directory) isGone(path string) bool {
	name := nameOf(path)
	if name == "" {
		return false
	}
	_, err := d.Lstat(name)
	return errors.Is(err, fs.ErrNotExist)
}

// checkOnNode reports that this process may see another /run than the runtime of the
// node: it must be where process 1 of the machine is. In a container, process 1 is one
// of the container.
func checkOnNode(*os.Root) error {
	same, err := bpffs.InHostMountNamespace()
	if err != nil {
		return err
	}
	if !same || !mounts.SeesAllProcesses() {
		return fmt.Errorf("%s may be another directory than the node's, for this process is not in the namespaces of process 1 of the node: "+
			"run it there, or mount the node's directories and say where with --node-root", namespaces)
	}
	return nil
}

// checkReceives reports that the directory may be another one than the node's, as the
// one of an image or a volume is: it must be a mount that gets what is mounted on the
// node (hostPath, HostToContainer), of a directory that is /run/netns there, for /run is
// a file system of its own or a part of another. One that was removed or renamed on the
// node is no such directory any more.
func checkReceives(root *os.Root) error {
	f, err := root.Open(".")
	if err != nil {
		return err
	}
	defer f.Close()
	m, err := mounts.HoldingFile(f)
	if err != nil {
		return err
	}
	if why := foreign(m, root.Name()); why != "" {
		return fmt.Errorf("%s may be another directory than the node's %s: %s: "+
			"mount that directory there with mountPropagation HostToContainer", root.Name(), namespaces, why)
	}
	return nil
}

// foreign returns why a mount that holds the directory path may be of another directory
// than the node's; empty if it is that.
func foreign(m mountinfo.Info, path string) string {
	receives := func(field string) bool { return strings.HasPrefix(field, "master:") }
	switch {
	case m.Mountpoint != path:
		return "it is not a mount of its own"
	case !slices.ContainsFunc(strings.Fields(m.Optional), receives):
		return "the mount does not get what is mounted on the node"
	case m.Root != namespaces && m.Root != filepath.Join("/", filepath.Base(namespaces)):
		return "it shows the directory " + m.Root + " of a " + m.FSType
	}
	return ""
}
