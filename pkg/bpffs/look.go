package bpffs

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/moby/sys/mountinfo"
)

// fsType is the name of the BPF file system in mount(2) and in mount tables.
const fsType = "bpf"

// A layer is one mount at a mount point.
type layer struct {
	fsType string
	root   string // the part of the file system that is mounted; "/" for all of it
}

// look returns the mounts at path, an absolute path without symbolic links: the
// visible one first, then what it hides, none if path is not a mount point. The
// cost does not grow with the number of mounts from Linux 6.8 on.
func look(path string) ([]layer, error) {
	layers, err := lookStatmount(path)
	if errors.Is(err, syscall.ENOSYS) {
		return lookMountinfo(path)
	}
	return layers, err
}

// lookStatmount is look for kernels that have statmount(2).
func lookStatmount(path string) ([]layer, error) {
	id, isPoint, err := uniqueMountID(path)
	if err != nil || !isPoint {
		return nil, err
	}
	top, err := statmount(id)
	if err != nil {
		return nil, fmt.Errorf("looking at the mount at %s: %w", path, err)
	}
	layers := []layer{top.layer}
	for m := top; m.parent != m.id; {
		m, err = statmount(m.parent)
		if errors.Is(err, os.ErrNotExist) || err == nil && m.point != top.point {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("looking below the mount at %s: %w", path, err)
		}
		layers = append(layers, m.layer)
	}
	return layers, nil
}

// lookMountinfo is look for older kernels. It reads the whole mount table.
func lookMountinfo(path string) ([]layer, error) {
	id, err := mountIDOf(path)
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
	var layers []layer
	for m := at[id]; m != nil; m = at[m.Parent] {
		layers = append(layers, layer{m.FSType, m.Root})
		delete(at, m.ID)
	}
	return layers, nil
}

// mountIDOf returns the mount table's ID of the visible mount that holds path,
// as /proc/self/fdinfo tells it since Linux 3.15.
func mountIDOf(path string) (int, error) {
	f, err := openPath(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	info, err := fdinfo(f)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(info["mnt_id"])
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
func stateOf(layers []layer) state {
	whole, hidden := 0, false
	for i, l := range layers {
		if l.root != "/" {
			continue
		}
		whole++
		hidden = hidden || i > 0 && l.fsType == fsType
	}
	switch {
	case len(layers) == 0:
		return unmounted
	case whole > 1 || hidden:
		return stacked
	case layers[0].fsType != fsType:
		return foreign
	}
	return mounted
}

// describe names the layers of a mount point for a message, the visible first.
func describe(layers []layer) string {
	names := make([]string, len(layers))
	for i, l := range layers {
		names[i] = fmt.Sprintf("%s (%s)", l.fsType, l.root)
	}
	return strings.Join(names, " over ")
}
