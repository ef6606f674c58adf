package bpffs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/cni-bpffs/cni-bpffs/internal/mounts"
	"github.com/cni-bpffs/cni-bpffs/internal/owned"
)

// What a path is that is not the root of a usable bpffs.
var (
	// ErrNotMounted: no bpffs is mounted there.
	ErrNotMounted = errors.New("no bpffs is mounted")
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

// Walk calls visit for each of the places in [Roots.All], but once for a bpffs
// that several of them show: with the open records, which visit must not keep, or
// with the error that [OpenEndpoints] has. The errors of visit are joined.
func (r Roots) Walk(ctx context.Context, visit func(root string, e *Endpoints, err error) error) error {
	var errs []error
	seen := make(map[uint64]bool)
	for _, root := range r.All() {
		top, device, err := openTop(root)
		if err != nil {
			errs = append(errs, visit(root, nil, err))
			continue
		}
		if seen[device] {
			top.Close() //nolint:errcheck // it was only read
			continue
		}
		seen[device] = true
		e, err := openEndpoints(ctx, top, false)
		errs = append(errs, visit(root, e, err))
		if err == nil {
			errs = append(errs, e.Close())
		}
	}
	return errors.Join(errs...)
}

// use calls do with the root, or with the default, and with the fallback if
// another file system is mounted at the default.
func (r Roots) use(do func(root string) (MountPoint, error)) (MountPoint, error) {
	if r.Root != "" {
		return do(r.Root)
	}
	m, err := do(DefaultRoot)
	if !errors.Is(err, ErrOtherFileSystem) {
		return m, err
	}
	m, ferr := do(r.fallback())
	m.Fallback = true
	if ferr != nil {
		return m, fmt.Errorf("%w; using the fallback instead: %w", err, ferr)
	}
	return m, nil
}

// openTop opens the root of a bpffs, whose path is without symbolic links then, and
// returns its device. It looks at what it has opened, for the bpffs may be unmounted
// at any time, and what it covered is not ours. [ErrStacked] if something hides a
// bpffs there.
func openTop(root string) (top *owned.Dir, device uint64, err error) {
	path, there, err := resolveDir(root)
	if err == nil && there {
		top, err = owned.Open(path)
	}
	if owned.IsAbsent(err) || err == nil && !there {
		return nil, 0, notMounted(root, err)
	}
	if err != nil {
		return nil, 0, err
	}
	st, err := top.Stat(".")
	if err == nil {
		err = checkBPF(top)
	}
	if err != nil {
		return nil, 0, errors.Join(err, top.Close())
	}
	return top, st.Device, nil
}

// checkBPF reports that a directory is not on a bpffs, and if so, that it hides one.
func checkBPF(top *owned.Dir) error {
	ok, err := top.IsBPF()
	if err != nil || ok {
		return err
	}
	if err := checkHidden(top.Path(".")); err != nil {
		return err
	}
	return notMounted(top.Path("."), nil)
}

// checkHidden reports that what is visible at path hides a bpffs.
func checkHidden(path string) error {
	_, err := isMounted(path)
	if errors.Is(err, ErrStacked) {
		return err
	}
	return nil
}

// notMounted is ErrNotMounted at path with the reason, if there is more to say.
func notMounted(path string, reason error) error {
	if errors.Is(reason, syscall.ENOTDIR) {
		return fmt.Errorf("%s: %w there, it is not a directory", path, ErrNotMounted)
	}
	return fmt.Errorf("%s: %w there", path, ErrNotMounted)
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

// isMounted reports whether a bpffs is all that is mounted at path. Anything
// else but nothing is an error.
func isMounted(path string) (bool, error) {
	layers, err := mounts.At(path)
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

// A state is what the mounts at one point mean to us.
type state int

const (
	unmounted state = iota // nothing is mounted there
	mounted                // one bpffs
	foreign                // another file system
	stacked                // whole file systems on top of each other
)

// stateOf decides the state of a mount point from its layers. A hidden layer that
// is a part of a file system, such as the bind of sysfs that "ip netns exec"
// leaves below a new bpffs, does not make a stack; a hidden bpffs always does.
func stateOf(layers []mounts.Layer) state {
	whole, hidden := 0, false
	for i, l := range layers {
		if l.Root != "/" {
			continue
		}
		whole++
		hidden = hidden || i > 0 && l.FSType == fsType
	}
	switch {
	case len(layers) == 0:
		return unmounted
	case whole > 1 || hidden:
		return stacked
	case layers[0].FSType != fsType:
		return foreign
	}
	return mounted
}

// describe names the layers of a mount point for a message, the visible first.
func describe(layers []mounts.Layer) string {
	names := make([]string, len(layers))
	for i, l := range layers {
		names[i] = fmt.Sprintf("%s (%s)", l.FSType, l.Root)
	}
	return strings.Join(names, " over ")
}
