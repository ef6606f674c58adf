package bpffs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/cni-bpffs/cni-bpffs/internal/owned"
)

// CheckMount returns what [Mount] would, New where it would mount, or why it could
// not: then Path is the place that cannot be used. It changes nothing, creates no
// directory and mounts nothing.
func CheckMount(r Roots) (MountPoint, error) {
	return r.use(checkRoot)
}

func checkRoot(root string) (m MountPoint, err error) {
	path, there, err := resolveDir(root)
	if err != nil {
		return MountPoint{Path: root}, err
	}
	m.Path = path
	if there {
		if ok, err := isMounted(path); ok || err != nil {
			return m, err
		}
		if err := checkEmpty(path); err != nil {
			return m, err
		}
	}
	m.New = true
	if err := canMountBPF(); err != nil {
		return m, fmt.Errorf("mounting a bpffs at %s: %w (%s)", path, err, whyNotMounted(err))
	}
	return m, nil
}

// CheckEndpoints reports why [CreateEndpoints] or [Endpoints.Allocate] with this
// map prefix would fail in the bpffs at root. It makes nothing: what is missing is
// no reason, not even the bpffs.
func CheckEndpoints(ctx context.Context, root, prefix string) error {
	top, _, err := openTop(root)
	if errors.Is(err, ErrNotMounted) {
		return nil
	}
	if err != nil {
		return err
	}
	err = errors.Join(checkDirs(top, prefix), top.CheckWritable())
	if err := errors.Join(err, top.Close()); err != nil {
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

// CheckDirs reports, as [ErrUnsafe], why others can change the bpffs at root or the
// map directory in it. What is missing is safe.
func CheckDirs(root, prefix string) error {
	top, _, err := openTop(root)
	if errors.Is(err, ErrNotMounted) {
		return nil
	}
	if err != nil {
		return err
	}
	defer top.Close()
	return checkDirs(top, prefix)
}

func checkDirs(top *owned.Dir, prefix string) error {
	maps, err := NewMapDir(top.Path("."), prefix)
	if err != nil {
		return err
	}
	if err := top.CheckTop(); err != nil {
		return err
	}
	err = owned.Walk(maps.Prefix(), top.Check)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
