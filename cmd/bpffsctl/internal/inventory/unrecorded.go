package inventory

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"syscall"

	"github.com/cni-bpffs/cni-bpffs/internal/podfs"
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

// Unrecorded returns where a file system is mounted that the plugin made for the volume
// of a pod and that no record names, so that no DEL unmounts it: an older version has
// removed the record, or somebody else did. Each file system is named once. read reads
// the records of this node; what one that cannot be read names is not known.
func Unrecorded(read func() ([]Record, error)) (paths []string, err error) {
	mounted, err := podfs.Mounts()
	if err != nil || len(mounted) == 0 {
		return nil, err
	}
	before := make(map[string]bool) // what was mounted before the records are read is in them, or gone later
	for _, m := range mounted {
		before[m.Source] = true
	}
	records, err := read()
	if err != nil {
		return nil, err
	}
	named, err := shown(records)
	if err != nil {
		return nil, err
	}
	now, err := podfs.Mounts()
	for _, m := range now {
		if before[m.Source] && !named[m.Device] {
			before[m.Source] = false
			paths = append(paths, m.Path)
		}
	}
	slices.Sort(paths)
	return paths, err
}

// shown returns the numbers of the file systems that the records name.
func shown(records []Record) (devices map[uint64]bool, err error) {
	devices = make(map[uint64]bool)
	for _, r := range records {
		errs := []error{r.Err}
		for _, m := range r.PodMounts {
			device, err := deviceOf(m)
			if !errors.Is(err, fs.ErrNotExist) {
				errs = append(errs, err)
			}
			devices[device] = true
		}
		if err := errors.Join(errs...); err != nil {
			return nil, fmt.Errorf("endpoint %05d: %w", r.ID, err)
		}
	}
	return devices, nil
}

// deviceOf returns the number of the file system of a recorded mount.
func deviceOf(m bpffs.PodMount) (uint64, error) {
	root, err := m.Open()
	if err != nil {
		return 0, err
	}
	defer root.Close()
	fi, err := root.Stat()
	if err != nil {
		return 0, err
	}
	st, _ := fi.Sys().(*syscall.Stat_t)
	return st.Dev, nil
}
