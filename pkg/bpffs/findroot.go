package bpffs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/moby/sys/mountinfo"

	"github.com/cni-bpffs/cni-bpffs/internal/bpfmount"
	"github.com/cni-bpffs/cni-bpffs/internal/mounts"
	"github.com/cni-bpffs/cni-bpffs/internal/podfs"
)

// FindRoot returns the root of the bpffs for a process that did not mount it: the
// one that $CILIUM_BPF_MNT or else $TC_BPF_MNT names, /sys/fs/bpf, or the first
// in the mount table that nothing hides and that is not in the volume of a pod;
// [ErrNotMounted] if there is none. A variable that names anything but a bpffs is an
// error, for whoever set it meant that place. FindRoot mounts nothing.
func FindRoot() (string, error) {
	for _, name := range []string{EnvCiliumRoot, EnvTCRoot} {
		if root := os.Getenv(name); root != "" {
			return findNamed(name, root)
		}
	}
	if ok, err := visible(DefaultRoot); ok || err != nil {
		return DefaultRoot, err
	}
	table, err := mountinfo.GetMounts(mountinfo.FSTypeFilter(bpfmount.Type))
	if err != nil {
		return "", err
	}
	for _, m := range table {
		if podfs.IsSource(m.Source) {
			continue
		}
		if ok, err := visible(m.Mountpoint); ok && err == nil {
			return m.Mountpoint, nil
		}
	}
	return "", ErrNotMounted
}

// findNamed returns the path of the bpffs that the variable name sets to root.
func findNamed(name, root string) (string, error) {
	path, err := filepath.EvalSymlinks(root)
	if err == nil {
		var ok bool
		if ok, err = isBPF(path); ok {
			return path, nil
		}
	}
	if err != nil {
		return "", fmt.Errorf("$%s: %w", name, err)
	}
	return "", fmt.Errorf("$%s: %s: %w there", name, path, ErrNotMounted)
}

// visible reports whether a bpffs is what a process finds mounted at path.
func visible(path string) (bool, error) {
	layers, err := mounts.At(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return len(layers) > 0 && layers[0].FSType == bpfmount.Type, err
}
