package bpffs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
)

// CheckMount returns the path at which [Mount] would find or mount the bpffs, or
// why it could not. It changes nothing, creates no directory and mounts nothing.
func CheckMount(r Roots) (path string, err error) {
	_, err = r.use(func(root string) (err error) {
		path, err = checkRoot(root)
		return err
	})
	return path, err
}

func checkRoot(root string) (string, error) {
	path, there, err := resolveDir(root)
	if err != nil {
		return "", err
	}
	if there {
		if ok, err := isMounted(path); ok || err != nil {
			return path, err
		}
		if err := checkEmpty(path); err != nil {
			return "", err
		}
	}
	return path, checkMountable(path)
}

func checkMountable(path string) error {
	if err := canMountBPF(); err != nil {
		return fmt.Errorf("mounting a bpffs at %s: %w (%s)", path, err, whyNotMounted(err))
	}
	return nil
}

// CheckEndpoints reports why [CreateEndpoints] or [Endpoints.Allocate] would
// fail, in the records and the map directory as they are. It makes nothing: what
// is missing is no reason, not even the bpffs.
func CheckEndpoints(ctx context.Context, dir MapDir) error {
	err := checkDirs(dir)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	e, err := OpenEndpoints(ctx, dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer e.Close()
	free, err := e.Free()
	if err == nil && free == 0 {
		err = fmt.Errorf("%w: all %d at %s are in use", ErrFull, MaxEndpoints, dir.Root())
	}
	return err
}

// checkDirs reports why the root or the map directory, if it is there, is unsafe
// or cannot be written to.
func checkDirs(dir MapDir) error {
	root, err := openBPF(dir.Root())
	if err != nil {
		return err
	}
	defer root.f.Close()
	if err := errors.Join(checkRootDir(root), checkWritable(dir.Root())); err != nil {
		return err
	}
	err = walkOwned(root, dir.Prefix(), checkOwned)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
