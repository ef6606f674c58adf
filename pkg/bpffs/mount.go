package bpffs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

// Why a path cannot be the root of a bpffs.
var (
	// ErrOtherFileSystem: another file system is mounted there.
	ErrOtherFileSystem = errors.New("another file system is mounted there")
	// ErrStacked: several file systems are mounted on top of each other there.
	ErrStacked = errors.New("mounts are stacked there")
)

// Roots says where a bpffs may be. The zero value means /sys/fs/bpf, and
// /run/cilium/bpffs if another file system is mounted there.
type Roots struct {
	// Root is the only place to use. Empty: the default, then Fallback.
	Root string
	// Fallback is used where Root is empty and another file system is mounted at
	// /sys/fs/bpf. Empty: /run/cilium/bpffs.
	Fallback string
}

func (r Roots) fallback() string {
	if r.Fallback == "" {
		return DefaultFallback
	}
	return r.Fallback
}

// All returns every place where this package may have left records: the custom
// root, the default and the fallback.
func (r Roots) All() []string {
	roots := []string{DefaultRoot, r.fallback()}
	if r.Root == "" {
		return roots
	}
	named := filepath.Clean(r.Root)
	return append([]string{r.Root}, slices.DeleteFunc(roots, func(root string) bool { return root == named })...)
}

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
// It waits for another process that is mounting until ctx is done: [ErrLocked].
// Further errors: [ErrOtherFileSystem], [ErrStacked], the path is not a
// directory, or what mount(2) answers. Mounting needs CAP_SYS_ADMIN.
func Mount(ctx context.Context, r Roots) (MountPoint, error) {
	var m MountPoint
	fellBack, err := r.use(func(root string) (err error) {
		m, err = mountRoot(ctx, root)
		return err
	})
	m.Fallback = fellBack
	return m, err
}

// use calls do with the root, or with the default, and with the fallback if
// another file system is mounted at the default.
func (r Roots) use(do func(root string) error) (fellBack bool, err error) {
	if r.Root != "" {
		return false, do(r.Root)
	}
	err = do(DefaultRoot)
	if !errors.Is(err, ErrOtherFileSystem) {
		return false, err
	}
	if ferr := do(r.fallback()); ferr != nil {
		return false, fmt.Errorf("%w; using the fallback instead: %w", err, ferr)
	}
	return true, nil
}

func mountRoot(ctx context.Context, root string) (MountPoint, error) {
	path, err := makeDir(root)
	if err != nil {
		return MountPoint{}, err
	}
	m := MountPoint{Path: path}
	if ok, err := isMounted(path); ok || err != nil {
		return m, err
	}
	unlock, err := lockDir(ctx, path)
	if err != nil {
		return MountPoint{}, err
	}
	defer unlock()
	if ok, err := isMounted(path); ok || err != nil {
		return m, err
	}
	if err := checkEmpty(path); err != nil {
		return MountPoint{}, err
	}
	if err := mountNew(path); err != nil {
		return MountPoint{}, err
	}
	m.New = true
	return m, nil
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

// isMounted reports whether a bpffs is all that is mounted at path. Anything
// else but nothing is an error.
func isMounted(path string) (bool, error) {
	layers, err := look(path)
	if err != nil {
		return false, err
	}
	switch stateOf(layers) {
	case stacked:
		return false, fmt.Errorf("%s: %w: %s; unmount all but one (umount %s)",
			path, ErrStacked, describe(layers), path)
	case foreign:
		return false, fmt.Errorf("%s: %w: %s, wanted bpf", path, ErrOtherFileSystem, describe(layers))
	case mounted:
		return true, nil
	}
	return false, nil
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

// resolveDir returns the path of a directory without symbolic links, and whether
// it is there; what is missing at the end of the path stays as it is.
func resolveDir(path string) (resolved string, there bool, err error) {
	if err := checkAbs(path); err != nil {
		return "", false, err
	}
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		parent, _, err := resolveDir(filepath.Dir(path))
		return filepath.Join(parent, filepath.Base(path)), false, err
	}
	fi, err := os.Stat(path)
	if err != nil {
		return "", false, err
	}
	if !fi.IsDir() {
		return "", false, &os.PathError{Op: "mkdir", Path: path, Err: syscall.ENOTDIR}
	}
	resolved, err = filepath.EvalSymlinks(path)
	return resolved, true, err
}

func checkAbs(path string) error {
	if !filepath.IsAbs(path) {
		return fmt.Errorf("bpffs root %q is not an absolute path", path)
	}
	return nil
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
