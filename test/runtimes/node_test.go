package runtimes

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/test/internal/node"
)

// Where things are on a node. /run, /sys and /var/lib are its own.
const (
	top         = "../.."
	bins        = node.BinDir
	goPlugins   = bins + "/runtimes/plugins"
	debPlugin   = "/usr/lib/cni"
	cniBin      = "/run/node/cni" // where runtimes look for plugins
	confDir     = node.ConfDir
	callLog     = "/run/node/calls" // of the plugin record
	failFile    = "/run/node/fail"  // while it is there, record fails
	gateway     = "10.244.79.1"
	network     = "runtimes"
	networkFile = "10-runtimes.conflist"
)

// prepareNode turns the namespaces that this process is in into a node without a
// bpffs.
func prepareNode(t *testing.T) {
	t.Helper()
	testns.Must(t, mountNode())
	for _, dir := range []string{"/run/lock", "/run/tmp"} {
		testns.Must(t, os.MkdirAll(dir, 0o755))
	}
	t.Setenv("TMPDIR", "/run/tmp")
	lo, err := netlink.LinkByName("lo")
	if err == nil {
		err = netlink.LinkSetUp(lo)
	}
	testns.Must(t, err)
	linkPlugins(t, goPlugins)
}

// mountNode makes the node, with the cgroups of the host.
func mountNode() error {
	cgroups, err := unix.OpenTree(unix.AT_FDCWD, "/sys/fs/cgroup", unix.OPEN_TREE_CLONE|unix.AT_RECURSIVE)
	if err != nil {
		return os.NewSyscallError("open_tree", err)
	}
	if err := unix.Unmount("/sys", unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) {
		return &os.PathError{Op: "unmount", Path: "/sys", Err: err}
	}
	if err := node.Mount(top); err != nil {
		return err
	}
	if err := unix.MoveMount(cgroups, "", unix.AT_FDCWD, "/sys/fs/cgroup", unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return os.NewSyscallError("move_mount", err)
	}
	return unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, "") // as on a host, for what starts here
}

// linkPlugins makes the network plugins in dir those that runtimes find, with
// ours.
func linkPlugins(t *testing.T, dir string) {
	t.Helper()
	testns.Must(t, errors.Join(os.RemoveAll(cniBin), os.MkdirAll(cniBin, 0o755)))
	theirs, err := filepath.Glob(dir + "/*")
	if err != nil || len(theirs) == 0 {
		t.Fatalf("no plugins in %s (%v): run test/runtimes/install.sh", dir, err)
	}
	ours := []string{bins + "/bpffs", bins + "/cni/pktcount", bins + "/cni/record"}
	for _, plugin := range append(theirs, ours...) {
		linkPlugin(t, plugin, filepath.Base(plugin))
	}
}

// linkPlugin makes the file a plugin that runtimes find.
func linkPlugin(t *testing.T, file, name string) {
	t.Helper()
	if _, err := os.Stat(file); err != nil {
		t.Fatalf("%v: run make test-runtimes", err)
	}
	testns.Must(t, os.Symlink(file, filepath.Join(cniBin, name)))
}

// write writes a file, its directory too.
func write(t *testing.T, path, content string) {
	t.Helper()
	err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o600))
	testns.Must(t, err)
}

// replaceFile writes a file in one step: nobody reads half of it.
func replaceFile(t *testing.T, path, content string) {
	t.Helper()
	write(t, path+".new", content)
	testns.Must(t, os.Rename(path+".new", path))
}

// cgroupParent is the parent of the cgroups that runtimes make in a test. Only
// these are seen on the host, too, until the test ends.
func cgroupParent(t *testing.T) string {
	t.Helper()
	name, _, _ := strings.Cut(t.Name(), "/")
	return "/bpffs-" + name
}

// removeCgroups removes what killed runtimes have left, in all hierarchies. What
// has processes is of another run and stays.
func removeCgroups(t *testing.T) {
	t.Helper()
	var dirs []string
	for _, hierarchy := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/*"} {
		parents, err := filepath.Glob(hierarchy + cgroupParent(t))
		testns.Must(t, err)
		for _, parent := range parents {
			_ = filepath.WalkDir(parent, func(path string, d fs.DirEntry, err error) error {
				if err == nil && d.IsDir() {
					dirs = append(dirs, path)
				}
				return nil
			})
		}
	}
	for _, dir := range slices.Backward(dirs) { // what is in a directory comes after it
		if err := os.Remove(dir); err != nil {
			t.Logf("a cgroup stays: %v", err)
		}
	}
}
