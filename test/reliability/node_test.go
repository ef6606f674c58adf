package reliability

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/test/internal/node"
)

// newRoot returns a path at which a bpffs can be mounted until the test ends.
// There is nothing yet.
func newRoot(t *testing.T) string {
	t.Helper()
	testns.Need(t)
	dir, err := os.MkdirTemp("/run", "node") //nolint:usetesting // other users must get to it
	testns.Must(t, err)
	testns.Must(t, os.Chmod(dir, 0o755))
	t.Cleanup(func() {
		node.Unmount(dir + "/bpf")
		testns.Must(t, os.RemoveAll(dir))
	})
	return dir + "/bpf"
}

// mountBPF mounts a bpffs at root, as somebody other than the plugin does.
func mountBPF(t *testing.T, root, options string) {
	t.Helper()
	testns.Must(t, os.MkdirAll(root, 0o755))
	testns.Must(t, syscall.Mount("bpf", root, "bpf", 0, options))
}

// inode returns what identifies the file at path.
func inode(path string) (uint64, error) {
	fi, err := os.Lstat(path)
	if err != nil {
		return 0, err
	}
	return fi.Sys().(*syscall.Stat_t).Ino, nil
}

// inodes returns the inodes of the paths below root.
func inodes(t *testing.T, root string, paths []string) map[string]uint64 {
	t.Helper()
	all := make(map[string]uint64)
	for _, path := range paths {
		ino, err := inode(filepath.Join(root, path))
		testns.Must(t, err)
		all[path] = ino
	}
	return all
}

// numbered returns n attachments of containers with numbers.
func numbered(network, prefix string, n int) []attachment {
	all := make([]attachment, n)
	for i := range all {
		all[i] = attachment{network, fmt.Sprint(prefix, i), "eth0"}
	}
	return all
}
