package bpffs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/cni-bpffs/cni-bpffs/internal/bpfmount"
	"github.com/cni-bpffs/cni-bpffs/internal/errlist"
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
	// ErrBadRoot: the path of a root, or one that its links lead to, can be none.
	ErrBadRoot = errors.New("not usable as a bpffs root")
	// ErrMounted: something is mounted on a directory below the root, and hides what
	// belongs there.
	ErrMounted = owned.ErrMounted
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

// Walk calls visit for each of the places in [Roots.All] as [Walk] does.
func (r Roots) Walk(ctx context.Context, visit Visitor) error {
	return Walk(ctx, r.All(), visit)
}

// A Visitor is called with the open records in a bpffs, which it must not keep, or
// with the error that [OpenEndpoints] has. root is the place as it was given.
type Visitor func(root string, e *Endpoints, err error) error

// Walk calls visit for each of the places, but once for a bpffs, or a directory of
// one, that several of them show. The errors of visit are joined.
func Walk(ctx context.Context, roots []string, visit Visitor) error {
	return walk(roots, func(top *rootDir) (*Endpoints, error) { return openEndpoints(ctx, top, false) }, visit)
}

// WalkTo is [Walk] for whoever looks for one attachment: where nothing tells of it,
// the error is [ErrNoEndpoint], and nobody is waited for.
func WalkTo(ctx context.Context, roots []string, a Attachment, visit Visitor) error {
	return walk(roots, func(top *rootDir) (*Endpoints, error) {
		if !top.mayHave(a) {
			return nil, errors.Join(noEndpoint(a, nil), top.Close())
		}
		return openEndpoints(ctx, top, false)
	}, visit)
}

func walk(roots []string, open func(*rootDir) (*Endpoints, error), visit Visitor) error {
	var errs []error
	seen := make(map[owned.Identity]bool)
	for _, root := range roots {
		top, err := openTop(root)
		if err != nil {
			errs = append(errs, visit(root, nil, err))
			continue
		}
		if seen[top.Identity()] {
			top.Close() //nolint:errcheck // it was only read
			continue
		}
		seen[top.Identity()] = true
		e, err := open(top)
		errs = append(errs, visit(root, e, err))
		if err == nil {
			errs = append(errs, e.Close())
		}
	}
	return errlist.Join(errs...)
}

// RootOf returns the root of the bpffs that the directory, a map directory, leads
// into: it, or the one above it, that has another file system above itself. RootOf
// does not read the mount table, and looks at nothing but devices. [ErrNotMounted]
// if the directory is missing or on no bpffs; after another error that is not known.
func RootOf(dir string) (string, error) {
	ok, err := isBPF(dir)
	if err != nil && !owned.IsAbsent(err) {
		return "", err
	}
	if !ok {
		return "", notMounted(dir, err)
	}
	for ; ; dir = filepath.Dir(dir) {
		inside, err := deviceOf(dir)
		if err != nil {
			return "", err
		}
		above, err := deviceOf(filepath.Dir(dir))
		if err != nil || inside != above || dir == "/" {
			return dir, err
		}
	}
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

// A rootDir is the open root of a bpffs, whose path is without symbolic links.
type rootDir struct {
	*owned.Dir

	way owned.Way // by which it was found
}

// openTop opens the root of a bpffs. It looks at what it has opened, for the bpffs
// may be unmounted at any time, and what it covered is not ours. [ErrStacked] if
// something hides a bpffs there.
func openTop(root string) (*rootDir, error) {
	way, err := follow(root)
	if owned.IsAbsent(err) || err == nil && way.Missing {
		return nil, notMounted(root, err)
	}
	if err != nil {
		return nil, err
	}
	dir, err := owned.Open(way.Path)
	if owned.IsAbsent(err) {
		return nil, notMounted(root, err)
	}
	if err != nil {
		return nil, err
	}
	if err := checkBPF(dir); err != nil {
		return nil, errors.Join(err, dir.Close())
	}
	return &rootDir{dir, way}, nil
}

// follow returns where the path of a root leads.
func follow(root string) (owned.Way, error) {
	if err := checkRootPath(root); err != nil {
		return owned.Way{}, fmt.Errorf("%w: %w", ErrBadRoot, err)
	}
	way, err := owned.Follow(root)
	if errors.Is(err, owned.ErrOfProcess) {
		return way, fmt.Errorf("%s: %w: %w", root, ErrBadRoot, err)
	}
	if err != nil {
		return way, fmt.Errorf("following %s: %w", root, err)
	}
	if len(way.Path) > maxRoot {
		return way, fmt.Errorf("%s leads to a path of %d bytes, the limit is %d: %w", root, len(way.Path), maxRoot, syscall.ENAMETOOLONG)
	}
	if err := checkRootPath(way.Path); err != nil {
		return way, fmt.Errorf("%s: %w: it leads there: %w", root, ErrBadRoot, err)
	}
	return way, nil
}

// CheckLinks reports, as [ErrBadRoot], that symbolic links lead the root to what
// [CheckRoot] refuses, or through a link of a process's directory of /proc. What
// cannot be followed is no error: whoever uses the root says so.
func CheckLinks(root string) error {
	way, err := follow(root)
	if errors.Is(err, ErrBadRoot) {
		return err
	}
	if err == nil && CheckRoot(way.Path) != nil {
		return fmt.Errorf("%s: %w: it leads there: %w", root, ErrBadRoot, CheckRoot(way.Path))
	}
	return nil
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

// checkHidden reports that what is visible at path hides a bpffs, or that this
// cannot be seen.
func checkHidden(path string) error {
	_, err := isMounted(path)
	if errors.Is(err, ErrOtherFileSystem) || owned.IsAbsent(err) {
		return nil
	}
	return err
}

// notMounted is ErrNotMounted at path with the reason, if there is more to say.
func notMounted(path string, reason error) error {
	if errors.Is(reason, syscall.ENOTDIR) {
		return fmt.Errorf("%s: %w there, it is not a directory", path, ErrNotMounted)
	}
	return fmt.Errorf("%s: %w there", path, ErrNotMounted)
}

// isMounted reports whether a bpffs is all that is mounted at path. Anything
// else but nothing is an error.
func isMounted(path string) (bool, error) {
	layers, err := mounts.At(path)
	if err == nil && len(layers) > 0 && layers[0].FSType == autofsType {
		if f, err := os.Open(path); err == nil { // which makes it mount
			f.Close()
		}
		layers, err = mounts.At(path)
	}
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

// autofsType is the file system that mounts another one over itself when it is used.
const autofsType = "autofs"

// A state is what the mounts at one point mean to us.
type state int

const (
	unmounted state = iota // nothing is mounted there
	mounted                // one bpffs
	foreign                // another file system
	stacked                // whole file systems on top of each other
)

// stateOf decides the state of a mount point from its layers. What a mount is, its
// device says: a file system bound onto itself is one, and hides nothing. Nor does
// a hidden part of a file system make a stack, such as the bind of sysfs that "ip
// netns exec" leaves below a new bpffs, or an autofs that led to the mount; a
// hidden bpffs always does.
func stateOf(layers []mounts.Layer) state {
	if len(layers) == 0 {
		return unmounted
	}
	visible := layers[0]
	whole := make(map[uint64]bool)
	hidden := false
	for _, l := range layers {
		if l.Root != "/" || l.FSType == autofsType {
			continue
		}
		whole[l.Device] = true
		same := l.Device == visible.Device && l.Root == visible.Root
		hidden = hidden || l.FSType == bpfmount.Type && !same
	}
	switch {
	case len(whole) > 1 || hidden:
		return stacked
	case visible.FSType != bpfmount.Type:
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
