package mounts

import (
	"errors"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// Under chroot(2) mount points are told relative to the new root, and the mount
// below the topmost one cannot be reached.
func TestAtInsideAChroot(t *testing.T) {
	top := t.TempDir()
	testns.Mount(t, "tmpfs", top, "")
	for _, dir := range []string{"proc", "none", "one", "two"} {
		mkdir(t, filepath.Join(top, dir))
	}
	testns.Bind(t, "/proc", filepath.Join(top, "proc"))
	testns.Mounting("bpf")(t, filepath.Join(top, "one"))
	testns.Mounting("bpf", "tmpfs")(t, filepath.Join(top, "two"))
	inChroot(t, top, func() {
		expectLayers(t, "/none", nil)
		expectLayers(t, "/one", []Layer{{FSType: "bpf", Root: "/"}})
		expectLayers(t, "/two", []Layer{{FSType: "tmpfs", Root: "/"}, {FSType: "bpf", Root: "/"}})
		expectLayers(t, "/", []Layer{{FSType: "tmpfs", Root: "/"}})
	})
}

// inChroot calls do in a thread of its own that has another root directory.
func inChroot(t *testing.T, root string, do func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // for good: the thread ends with this function
		if err := errors.Join(syscall.Unshare(syscall.CLONE_FS), syscall.Chroot(root)); err != nil {
			t.Errorf("changing the root directory to %s: %v", root, err)
			return
		}
		do()
	}()
	<-done
}
