package bpffs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"github.com/cni-bpffs/cni-bpffs/internal/flock"
)

// LockTimeout is how long a call waits for a lock that another process holds, if
// its context lasts that long.
const LockTimeout = flock.Timeout

// ErrLocked is the error of a call that could not get a lock in time. Trying again
// later can succeed.
var ErrLocked = flock.ErrLocked

// A MountPoint is where a bpffs is mounted.
type MountPoint struct {
	Path     string // without symbolic links
	New      bool   // this call mounted it
	Fallback bool   // the default was taken by another file system
}

// Mount makes sure that exactly one bpffs is mounted at the root that r names
// and returns where. It mounts with nosuid, nodev, noexec and mode 0700, only
// where nothing is mounted, and creates the directory if it is missing. Any
// number of processes may call it at once, any number of times.
//
// It waits for another process that is mounting: [ErrLocked]. Further errors:
// [ErrOtherFileSystem], [ErrStacked], the path is not a directory, or what
// mount(2) answers. Mounting needs CAP_SYS_ADMIN.
func Mount(ctx context.Context, r Roots) (MountPoint, error) {
	return r.use(func(root string) (MountPoint, error) { return mountRoot(ctx, root) })
}

func mountRoot(ctx context.Context, root string) (m MountPoint, err error) {
	if m.Path, err = makeDir(root); err != nil {
		return m, err
	}
	if ok, err := isMounted(m.Path); ok || err != nil {
		return m, err
	}
	unlock, err := flock.Dir(ctx, m.Path)
	if err != nil {
		return m, err
	}
	defer unlock()
	if ok, err := isMounted(m.Path); ok || err != nil {
		return m, err
	}
	if err := checkEmpty(m.Path); err != nil {
		return m, err
	}
	m.New = true
	return m, mountNew(m.Path)
}

// makeDir creates the directory path if it is missing and returns its path
// without symbolic links, as mount tables show it.
func makeDir(path string) (string, error) {
	resolved, there, err := resolveDir(path)
	if err != nil || there {
		return resolved, err
	}
	if err := os.MkdirAll(resolved, 0o755); err != nil {
		return "", fmt.Errorf("creating the mount point: %w", err)
	}
	return resolved, nil
}

// checkEmpty reports that there is something in a directory, which a mount would
// hide from everybody.
func checkEmpty(path string) error {
	entries, err := os.ReadDir(path)
	if err == nil && len(entries) > 0 {
		err = fmt.Errorf("mounting a bpffs at %s: the directory is not empty, and the mount would hide what is in it: "+
			"give one that is empty or missing", path)
	}
	return err
}

// mountNew mounts a bpffs at path and looks at what came of it: a process that
// does not take the lock may have mounted at the same time, and the kernel
// ignores mount options of bpffs that it does not know.
func mountNew(path string) error {
	if err := mountBPF(path); err != nil {
		return fmt.Errorf("%w (%s)", err, whyNotMounted(err))
	}
	ok, err := isMounted(path)
	if err == nil && !ok {
		err = fmt.Errorf("%s is unmounted again just after a bpffs was mounted there", path)
	}
	if err != nil {
		return err
	}
	fi, err := os.Stat(path)
	if err != nil {
		return err
	}
	if fi.Mode().Perm() == 0o700 {
		return nil
	}
	return os.Chmod(path, 0o700)
}

func whyNotMounted(err error) string {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return "mounting needs CAP_SYS_ADMIN in the mount namespace of the container runtime"
	case errors.Is(err, syscall.ENODEV):
		return "the kernel has no BPF file system: it needs CONFIG_BPF_SYSCALL"
	}
	return "see the kernel log"
}

// InHostMountNamespace reports whether this process shares the mount namespace
// of process 1. In another one a mount made by [Mount] dies with the namespace.
// The error says that /proc does not tell.
func InHostMountNamespace() (bool, error) {
	mine, err := os.Stat("/proc/self/ns/mnt")
	if err != nil {
		return false, err
	}
	host, err := os.Stat("/proc/1/ns/mnt")
	if err != nil {
		return false, err
	}
	return os.SameFile(mine, host), nil
}
