package bpffs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/cni-bpffs/cni-bpffs/internal/errlist"
	"github.com/cni-bpffs/cni-bpffs/internal/owned"
)

// CheckMount returns what [Mount] would, New where it would mount, or why it could
// not: then Path is the place that cannot be used. With [ErrUnsafe] New is as if the
// way to it were safe. It changes nothing, creates no directory and mounts nothing.
func CheckMount(r Roots) (MountPoint, error) {
	return r.use(checkRoot)
}

func checkRoot(root string) (MountPoint, error) {
	m := MountPoint{Path: root}
	way, err := follow(root)
	if err != nil {
		return m, err
	}
	m.Path = way.Path
	check := checkMakeable
	if !way.Missing {
		check = checkEmpty
		if ok, err := isMounted(m.Path); err != nil || ok {
			return m, errlist.Join(err, way.Unsafe)
		}
	}
	m.New = true
	if err := distrust(root, way); err != nil {
		return m, err
	}
	if err := check(m.Path); err != nil {
		return m, err
	}
	if err := canMountBPF(); err != nil {
		return m, fmt.Errorf("mounting a bpffs at %s: %w (%s)", m.Path, err, whyNotMounted(err))
	}
	return m, nil
}

// checkMakeable reports why the directory path, which is missing, could not be
// made. A file system can refuse it all the same, when it is full for example.
func checkMakeable(path string) error {
	parent, missing := filepath.Dir(path), []string{filepath.Base(path)}
	_, err := os.Stat(parent)
	for ; errors.Is(err, fs.ErrNotExist); _, err = os.Stat(parent) {
		missing = append(missing, filepath.Base(parent))
		parent = filepath.Dir(parent)
	}
	if err == nil {
		err = canMakeDir(parent)
	}
	if err == nil {
		err = canBeNames(parent, missing)
	}
	if err != nil {
		return fmt.Errorf("creating the mount point %s: %w", path, err)
	}
	return nil
}

// canBeNames reports which of the names cannot be one below parent. A bpffs keeps
// dots in names for itself.
func canBeNames(parent string, names []string) error {
	onBPF, err := isBPF(parent)
	if err != nil {
		return err
	}
	for _, name := range names {
		if len(name) > maxName {
			return fmt.Errorf("%.100q… of %d bytes is too long for a name, the limit is %d", name, len(name), maxName)
		}
		if onBPF && strings.Contains(name, ".") {
			return fmt.Errorf("%s is on a bpffs, which allows no dot in a name such as %q", parent, name)
		}
	}
	return nil
}

// CheckMaps reports, as [ErrMapRefused], why the declared maps that have a type
// could not be created: the kernel takes none of that shape, or one needs more memory
// than the node has. It creates small ones of their kind, which are gone when it
// returns: whether that much memory is free is not known.
func CheckMaps(decls []MapDecl) error {
	for _, d := range decls {
		if !d.Typed() {
			continue
		}
		if err := d.probe(); err != nil {
			return d.refused(err)
		}
	}
	return nil
}

func (d MapDecl) probe() error {
	f, err := d.Spec.probe().create(kernelName(d.Name))
	if err != nil {
		return err
	}
	f.Close()
	total, err := totalMemory()
	if err == nil && d.Spec.reserved() > total {
		err = syscall.ENOMEM
	}
	return err
}

// CheckEndpoints reports why [CreateEndpoints] or [Endpoints.Allocate] with this
// map prefix would fail in the bpffs at root. It makes nothing: what is missing is
// no reason, not even the bpffs.
func CheckEndpoints(ctx context.Context, root, prefix string) error {
	top, err := openTop(root)
	if errors.Is(err, ErrNotMounted) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := errlist.Join(top.checkDirs(prefix), top.CheckWritable(), top.Close()); err != nil {
		return err
	}
	e, err := OpenEndpoints(ctx, root)
	if errors.Is(err, ErrNoRecords) || errors.Is(err, ErrNotMounted) {
		return nil
	}
	if err != nil {
		return err
	}
	defer e.Close()
	free, err := e.FreeIDs()
	if err == nil && free == 0 {
		err = e.in(fmt.Errorf("%w: all %d are in use", ErrFull, MaxEndpoints))
	}
	return err
}

// CheckDirs reports why others can change the bpffs at root, the way to it, or the
// map directory in it ([ErrUnsafe]), or that something is mounted on the map
// directory ([ErrMounted]). What is missing is safe.
func CheckDirs(root, prefix string) error {
	top, err := openTop(root)
	if errors.Is(err, ErrNotMounted) {
		return nil
	}
	if err != nil {
		return err
	}
	defer top.Close()
	return top.checkDirs(prefix)
}

func (r *rootDir) checkDirs(prefix string) error {
	maps, err := NewMapDir(r.Path("."), prefix)
	if err != nil {
		return err
	}
	if r.way.Unsafe != nil {
		return r.way.Unsafe
	}
	if err := r.CheckTop(); err != nil {
		return err
	}
	err = owned.Walk(maps.Prefix(), r.Check)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
