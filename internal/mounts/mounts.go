// Package mounts tells what is mounted at a path.
package mounts

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
)

// A Layer is one mount at a mount point.
type Layer struct {
	FSType string
	Root   string // the part of the file system that is mounted; "/" for all of it
}

// At returns the mounts at path, an absolute path without symbolic links: the
// visible one first, then what it hides; none if path is not a mount point. The
// cost does not grow with the number of mounts from Linux 6.8 on, which brought
// statmount(2).
func At(path string) ([]Layer, error) {
	layers, err := byStatmount(path)
	if errors.Is(err, syscall.ENOSYS) {
		return byMountinfo(path)
	}
	return layers, err
}

func byStatmount(path string) ([]Layer, error) {
	id, isPoint, err := uniqueID(path)
	if err != nil || !isPoint {
		return nil, err
	}
	top, err := statmount(id)
	if err != nil {
		return nil, fmt.Errorf("looking at the mount at %s: %w", path, err)
	}
	layers := []Layer{top.Layer}
	for m := top; m.parent != m.id; {
		m, err = statmount(m.parent)
		if errors.Is(err, fs.ErrNotExist) || err == nil && m.point != top.point {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("looking below the mount at %s: %w", path, err)
		}
		layers = append(layers, m.Layer)
	}
	return layers, nil
}

// HasStatmount reports whether the kernel has statmount(2).
func HasStatmount() bool {
	_, err := statmount(0) // no mount has this ID
	return !errors.Is(err, syscall.ENOSYS)
}
