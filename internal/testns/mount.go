package testns

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// Mount mounts a file system of the type at target, which must exist, until the
// test ends.
func Mount(tb testing.TB, fsType, target, options string) {
	tb.Helper()
	Need(tb)
	if err := syscall.Mount(fsType, target, fsType, 0, options); err != nil {
		tb.Fatalf("mounting %s at %s with %q: %v", fsType, target, options, err)
	}
	tb.Cleanup(func() { unmount(tb, target) })
}

// Bind makes source visible at target until the test ends.
func Bind(tb testing.TB, source, target string) {
	tb.Helper()
	Need(tb)
	if err := syscall.Mount(source, target, "", syscall.MS_BIND, ""); err != nil {
		tb.Fatalf("binding %s to %s: %v", source, target, err)
	}
	tb.Cleanup(func() { unmount(tb, target) })
}

// unmount removes the visible layer at target, if there still is one.
func unmount(tb testing.TB, target string) {
	tb.Helper()
	err := syscall.Unmount(target, syscall.MNT_DETACH)
	if err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, syscall.ENOENT) {
		tb.Errorf("unmounting %s: %v", target, err)
	}
}

// Mounting returns a preparation that mounts the file systems on top of each other.
func Mounting(fsTypes ...string) func(tb testing.TB, target string) {
	return func(tb testing.TB, target string) {
		tb.Helper()
		for _, fsType := range fsTypes {
			Mount(tb, fsType, target, "")
		}
	}
}

// PartBelow mounts a bpffs at target over a part of another file system, as "ip netns
// exec" does.
func PartBelow(tb testing.TB, target string) {
	tb.Helper()
	part := filepath.Join(tb.TempDir(), "part")
	Mount(tb, "tmpfs", filepath.Dir(part), "")
	Must(tb, os.Mkdir(part, 0o755))
	Bind(tb, part, target)
	Mount(tb, "bpf", target, "")
}

// BPFFS mounts a new bpffs for its owner only, in a directory of the test, and
// returns where.
func BPFFS(tb testing.TB) string {
	tb.Helper()
	dir := tb.TempDir()
	Mount(tb, "bpf", dir, "mode=0700")
	return dir
}

// UnmountAll removes every layer at target, now and when the test ends.
func UnmountAll(tb testing.TB, target string) {
	tb.Helper()
	Need(tb)
	all := func() {
		for syscall.Unmount(target, syscall.MNT_DETACH) == nil {
		}
	}
	all()
	tb.Cleanup(all)
}

// Chown gives the path to another user.
func Chown(tb testing.TB, path string, uid int) {
	tb.Helper()
	Must(tb, os.Lchown(path, uid, uid))
}
