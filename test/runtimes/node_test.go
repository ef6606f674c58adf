package runtimes

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Where things are on a node. /run, /sys and /var/lib are its own.
const (
	top       = "../.."
	bins      = "/run/node/bin" // bin/ of the source tree
	goPlugins = bins + "/runtimes/plugins"
	debPlugin = "/usr/lib/cni"
	cniBin    = "/run/node/cni" // where runtimes look for plugins
	confDir   = "/run/node/net.d"
	callLog   = "/run/node/calls" // of the plugin record
	failFile  = "/run/node/fail"  // while it is there, record fails
	gateway   = "10.244.79.1"
	network   = "runtimes"
)

// prepareNode turns the namespaces that this process is in into a node without a
// bpffs.
func prepareNode(t *testing.T) {
	t.Helper()
	if err := mountNode(); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{confDir, "/run/netns", "/run/lock", "/run/tmp"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("TMPDIR", "/run/tmp")
	lo, err := netlink.LinkByName("lo")
	if err == nil {
		err = netlink.LinkSetUp(lo)
	}
	if err != nil {
		t.Fatal(err)
	}
	linkPlugins(t, goPlugins)
}

// mountNode hides what the host has where runtimes, plugins and libcni write.
// The host's bpffs would still be in the mount table, so it goes, from this
// namespace.
func mountNode() error {
	bin, err := os.OpenFile(filepath.Join(top, "bin"), unix.O_PATH, 0) // may lie below what is hidden
	if err != nil {
		return err
	}
	defer bin.Close()
	cgroups, err := unix.OpenTree(unix.AT_FDCWD, "/sys/fs/cgroup", unix.OPEN_TREE_CLONE|unix.AT_RECURSIVE)
	if err != nil {
		return os.NewSyscallError("open_tree", err)
	}
	if err := unix.Unmount("/sys", unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) {
		return &os.PathError{Op: "unmount", Path: "/sys", Err: err}
	}
	for _, m := range []struct{ fsType, target string }{
		{"proc", "/proc"}, {"sysfs", "/sys"}, {"tmpfs", "/run"}, {"tmpfs", "/var/lib"},
	} {
		if err := unix.Mount(m.fsType, m.target, m.fsType, 0, ""); err != nil {
			return &os.PathError{Op: "mount", Path: m.target, Err: err}
		}
	}
	if err := unix.MoveMount(cgroups, "", unix.AT_FDCWD, "/sys/fs/cgroup", unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return os.NewSyscallError("move_mount", err)
	}
	if err := os.MkdirAll(bins, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(fmt.Sprintf("/proc/self/fd/%d", bin.Fd()), bins, "", unix.MS_BIND, ""); err != nil {
		return &os.PathError{Op: "bind", Path: bins, Err: err}
	}
	return unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, "") // as on a host, for what starts here
}

// linkPlugins makes the network plugins in dir those that runtimes find, with
// ours.
func linkPlugins(t *testing.T, dir string) {
	t.Helper()
	if err := errors.Join(os.RemoveAll(cniBin), os.MkdirAll(cniBin, 0o755)); err != nil {
		t.Fatal(err)
	}
	theirs, err := filepath.Glob(dir + "/*")
	if err != nil || len(theirs) == 0 {
		t.Fatalf("no plugins in %s (%v): run test/runtimes/install.sh", dir, err)
	}
	ours := []string{bins + "/bpffs", bins + "/cni/pktcount", bins + "/runtimes/own/record"}
	for _, plugin := range append(theirs, ours...) {
		if _, err := os.Stat(plugin); err != nil {
			t.Fatalf("%v: run make test-runtimes", err)
		}
		if err := os.Symlink(plugin, filepath.Join(cniBin, filepath.Base(plugin))); err != nil {
			t.Fatal(err)
		}
	}
}

// write writes a file, its directory too.
func write(t *testing.T, path, content string) {
	t.Helper()
	err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o600))
	if err != nil {
		t.Fatal(err)
	}
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
		if err != nil {
			t.Fatal(err)
		}
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
