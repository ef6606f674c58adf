package mounts

import (
	"fmt"
	"os"
	"strconv"

	"github.com/moby/sys/mountinfo"

	"github.com/cni-bpffs/cni-bpffs/internal/fdinfo"
)

// byMountinfo is At for kernels before 6.8. It reads the whole mount table.
func byMountinfo(path string) ([]Layer, error) {
	id, err := tableID(path)
	if err != nil {
		return nil, err
	}
	mounts, err := mountinfo.GetMounts(func(m *mountinfo.Info) (skip, stop bool) {
		return m.Mountpoint != path, false
	})
	if err != nil {
		return nil, err
	}
	at := make(map[int]*mountinfo.Info, len(mounts))
	for _, m := range mounts {
		at[m.ID] = m
	}
	var layers []Layer
	for m := at[id]; m != nil; m = at[m.Parent] {
		layers = append(layers, Layer{m.FSType, m.Root, device(m.Major, m.Minor)})
		delete(at, m.ID)
	}
	return layers, nil
}

// Holding returns the visible mount that holds path, which must exist. It reads
// the mount table as far as that mount.
func Holding(path string) (mountinfo.Info, error) {
	id, err := tableID(path)
	if err != nil {
		return mountinfo.Info{}, err
	}
	found, err := mountinfo.GetMounts(func(m *mountinfo.Info) (skip, stop bool) { return m.ID != id, m.ID == id })
	if err != nil {
		return mountinfo.Info{}, err
	}
	if len(found) == 0 {
		return mountinfo.Info{}, fmt.Errorf("%s: its mount %d is not in /proc/self/mountinfo", path, id)
	}
	return *found[0], nil
}

// tableID returns the mount table's ID of the visible mount that holds path.
func tableID(path string) (int, error) {
	fd, err := openPath(path)
	if err != nil {
		return 0, err
	}
	f := os.NewFile(uintptr(fd), path)
	defer f.Close()
	return tableIDOf(f)
}

// tableIDOf returns the mount table's ID of the mount that holds the open file.
func tableIDOf(f *os.File) (int, error) {
	id, err := idOf(f, tableIDs)
	if err == nil && id == 0 {
		return tableIDInProc(f)
	}
	return int(id), err
}

// tableIDInProc is tableIDOf for kernels before 5.8. A process that has changed its
// user cannot read this before Linux 5.14.
func tableIDInProc(f *os.File) (int, error) {
	info, err := fdinfo.Of(f)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(info["mnt_id"])
}
