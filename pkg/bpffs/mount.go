package bpffs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"github.com/cni-bpffs/cni-bpffs/internal/bpfmount"
	"github.com/cni-bpffs/cni-bpffs/internal/flock"
	"github.com/cni-bpffs/cni-bpffs/internal/owned"
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

func mountRoot(ctx context.Context, root string) (MountPoint, error) {
	m := MountPoint{Path: root}
	way, err := followSafely(root)
	if err == nil && way.Missing {
		way, err = makeDir(way.Path)
	}
	if err != nil {
		return m, err
	}
	m.Path = way.Path
	if ok, err := isMounted(m.Path); ok || err != nil {
		return m, err
	}
	dir, unlock, err := flock.Dir(ctx, m.Path)
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
	return m, mountNew(dir)
}

// followSafely is follow for whoever means to mount at the root: no other user can
// change where it leads.
func followSafely(root string) (owned.Way, error) {
	way, err := follow(root)
	if err == nil {
		err = distrust(root, way)
	}
	return way, err
}

// distrust reports why nothing should be mounted where the way to the root leads.
func distrust(root string, way owned.Way) error {
	if way.Dangling != "" {
		return fmt.Errorf("%s: %s is a symbolic link whose target is missing: create the target, or remove the link", root, way.Dangling)
	}
	return way.Unsafe
}

// makeDir makes the directory that is missing, and looks again how it is reached:
// in a directory for everybody somebody else may have been faster.
func makeDir(path string) (owned.Way, error) {
	if err := checkMakeable(path); err != nil {
		return owned.Way{}, err
	}
	if err := os.MkdirAll(path, 0o755); err != nil {
		return owned.Way{}, fmt.Errorf("creating the mount point: %w", err)
	}
	way, err := followSafely(path)
	if err == nil && way.Path != path {
		err = fmt.Errorf("%w: %s now leads to %s: somebody changed it in the meantime", ErrUnsafe, path, way.Path)
	}
	return way, err
}

// checkEmpty reports that there is something in a directory, which a mount would
// hide from everybody, or will be: in a directory of /proc.
func checkEmpty(path string) error {
	onProc, err := owned.IsProc(path)
	if err == nil && onProc {
		err = fmt.Errorf("mounting a bpffs at %s: the directory belongs to /proc: choose another", path)
	}
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(path)
	if err == nil && len(entries) > 0 {
		err = fmt.Errorf("mounting a bpffs at %s: the directory is not empty, and the mount would hide what is in it: "+
			"use an empty or missing directory", path)
	}
	return err
}

// rootMode are the rights on the root of a new bpffs: for its owner only. The
// kernel's default lets everybody make directories there.
const rootMode = 0o700

// canMountBPF reports why this process could not mount a bpffs. It makes one that
// nobody sees, and which is gone when it returns. Where move_mount(2) may be called
// at all, it finds that there is nothing to move.
func canMountBPF() error {
	mount, err := bpfmount.New(bpfmount.Type, rootMode)
	if err != nil {
		return err
	}
	if err := mount.Close(); err != nil {
		return err
	}
	if err := bpfmount.Attach(nil, nil); !errors.Is(err, syscall.EBADF) {
		return err
	}
	return nil
}

// mountBPF mounts a new bpffs, for its owner only, on the open directory.
func mountBPF(dir *os.File) error {
	mount, err := bpfmount.New(bpfmount.Type, rootMode)
	if err != nil {
		return err
	}
	defer mount.Close()
	return bpfmount.Attach(mount, dir)
}

// mountNew mounts a bpffs on the open directory, whatever its path leads to by now,
// and looks at what came of it: a process that does not take the lock may have
// mounted at the same time.
func mountNew(dir *os.File) error {
	if err := mountBPF(dir); err != nil {
		return fmt.Errorf("mounting a bpffs at %s: %w (%s)", dir.Name(), err, whyNotMounted(err))
	}
	ok, err := isMounted(dir.Name())
	if err == nil && !ok {
		err = fmt.Errorf("%s was unmounted just after a bpffs was mounted there", dir.Name())
	}
	return err
}

func whyNotMounted(err error) string {
	switch {
	case errors.Is(err, fs.ErrPermission) && hasCapability(capSysAdmin):
		return "this process has CAP_SYS_ADMIN: a seccomp profile or a security module refuses it"
	case errors.Is(err, fs.ErrPermission):
		return "mounting needs CAP_SYS_ADMIN in the mount namespace of the container runtime"
	case errors.Is(err, syscall.ENOSYS):
		return "the kernel lacks fsopen(2): it needs Linux 5.2"
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
