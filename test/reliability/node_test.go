package reliability

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// program is the plugin, seen from the directory of this package.
const program = "../../bin/bpffs"

// globals is the map directory below a root.
const globals = "tc/globals"

// needPlugin wants root, namespaces and the built plugin.
func needPlugin(t *testing.T) {
	t.Helper()
	testns.Need(t)
	if _, err := os.Stat(program); err != nil {
		t.Fatalf("run make build: %v", err)
	}
}

// newRoot returns a path at which a bpffs can be mounted until the test ends.
// There is nothing yet.
func newRoot(t *testing.T) string {
	t.Helper()
	needPlugin(t)
	dir, err := os.MkdirTemp("/run", "node") //nolint:usetesting // other users must get to it
	must(t, err)
	must(t, os.Chmod(dir, 0o755))
	t.Cleanup(func() {
		unmount(dir + "/bpf")
		must(t, os.RemoveAll(dir))
	})
	return dir + "/bpf"
}

// mountBPF mounts a bpffs at root, as somebody other than the plugin does.
func mountBPF(t *testing.T, root, options string) {
	t.Helper()
	must(t, os.MkdirAll(root, 0o755))
	must(t, syscall.Mount("bpf", root, "bpf", 0, options))
}

// unmount removes every layer at path.
func unmount(path string) {
	for syscall.Unmount(path, syscall.MNT_DETACH) == nil {
	}
}

// mounts returns the types of the file systems mounted at path, in the mount
// namespace of this thread.
func mounts(path string) ([]string, error) {
	table, err := os.ReadFile("/proc/thread-self/mountinfo")
	if err != nil {
		return nil, err
	}
	var types []string
	for line := range strings.Lines(string(table)) {
		const point = 4
		if fields := strings.Fields(line); fields[point] == path {
			_, rest, _ := strings.Cut(line, " - ")
			types = append(types, strings.Fields(rest)[0])
		}
	}
	return types, nil
}

// pin pins a map of somebody else at path.
func pin(t *testing.T, path string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o700))
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1})
	must(t, err)
	defer m.Close()
	must(t, m.Pin(path))
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
		must(t, err)
		all[path] = ino
	}
	return all
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// numbered returns n attachments of containers with numbers.
func numbered(network, prefix string, n int) []attachment {
	all := make([]attachment, n)
	for i := range all {
		all[i] = attachment{network, fmt.Sprint(prefix, i), "eth0"}
	}
	return all
}
