package node

import (
	"os"
	"path/filepath"

	"github.com/cilium/ebpf"
	"github.com/moby/sys/mountinfo"
)

// Layers returns the types of the file systems mounted at path, the visible one
// last, in the mount namespace of this thread.
func Layers(path string) ([]string, error) {
	mounts, err := mountinfo.GetMounts(func(m *mountinfo.Info) (skip, stop bool) { return m.Mountpoint != path, false })
	var types []string
	for _, m := range mounts {
		types = append(types, m.FSType)
	}
	return types, err
}

// BPFMounts returns where a bpffs is mounted.
func BPFMounts() ([]string, error) {
	mounts, err := mountinfo.GetMounts(mountinfo.FSTypeFilter("bpf"))
	var points []string
	for _, m := range mounts {
		points = append(points, m.Mountpoint)
	}
	return points, err
}

// precious is the value in the maps of others.
const precious = 42

// Pin pins a map of somebody else at path, with what [Precious] looks for in it.
func Pin(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1})
	if err != nil {
		return err
	}
	defer m.Close()
	if err := m.Put(uint32(0), uint32(precious)); err != nil {
		return err
	}
	return m.Pin(path)
}

// Precious reports whether the map that [Pin] pinned is still at path.
func Precious(path string) (bool, error) {
	m, err := ebpf.LoadPinnedMap(path, nil)
	if err != nil {
		return false, err
	}
	defer m.Close()
	var value uint32
	err = m.Lookup(uint32(0), &value)
	return value == precious, err
}
