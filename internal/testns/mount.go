package testns

import (
	"os"
	"syscall"
	"testing"
)

// Mount mounts a file system of the type at target, which must exist, until the
// test ends.
func Mount(t testing.TB, fsType, target, options string) {
	t.Helper()
	Need(t)
	if err := syscall.Mount(fsType, target, fsType, 0, options); err != nil {
		t.Fatalf("mounting %s at %s with %q: %v", fsType, target, options, err)
	}
	t.Cleanup(func() { syscall.Unmount(target, syscall.MNT_DETACH) })
}

// Bind makes source visible at target until the test ends.
func Bind(t testing.TB, source, target string) {
	t.Helper()
	Need(t)
	if err := syscall.Mount(source, target, "", syscall.MS_BIND, ""); err != nil {
		t.Fatalf("binding %s to %s: %v", source, target, err)
	}
	t.Cleanup(func() { syscall.Unmount(target, syscall.MNT_DETACH) })
}

// BPFFS mounts a new bpffs for its owner only, in a directory of the test, and
// returns where.
func BPFFS(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	Mount(t, "bpf", dir, "mode=0700")
	return dir
}

// UnmountAll removes every layer at target, now and when the test ends.
func UnmountAll(t testing.TB, target string) {
	t.Helper()
	Need(t)
	unmount := func() {
		for syscall.Unmount(target, syscall.MNT_DETACH) == nil {
		}
	}
	unmount()
	t.Cleanup(unmount)
}

// Chown gives the path to another user.
func Chown(t testing.TB, path string, uid int) {
	t.Helper()
	if err := os.Lchown(path, uid, uid); err != nil {
		t.Fatal(err)
	}
}
