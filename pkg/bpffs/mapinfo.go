package bpffs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"syscall"
)

// MapInfo is what the kernel says of a map.
type MapInfo struct {
	ID     uint32  // the kernel's, as bpftool takes it
	Spec   MapSpec // the shape; that of the maps in it cannot be read back
	Memory uint64  // bytes; an estimate before Linux 6.4
}

// ReadMap returns what the kernel says of the map that is pinned at path:
// [fs.ErrNotExist] if nothing is there, [ErrMapShape] if it is no map,
// [ErrMapRefused] if the kernel does not say.
func ReadMap(path string) (MapInfo, error) {
	m, err := bpfOpen(path)
	if errors.Is(err, fs.ErrNotExist) {
		return MapInfo{}, err
	}
	if errors.Is(err, syscall.EACCES) { // neither a map nor another object of BPF
		return MapInfo{}, fmt.Errorf("%w: it is no map: %w", ErrMapShape, err)
	}
	if err != nil {
		return MapInfo{}, fmt.Errorf("looking for the map: %w: %w%s", ErrMapRefused, err, whyRefused(err))
	}
	defer m.Close()
	return mapInfo(m)
}

// mapInfo returns what the fdinfo of an open map tells.
func mapInfo(m *os.File) (i MapInfo, err error) {
	info, err := fdinfo(m)
	if err != nil {
		return i, err
	}
	kernel, isMap := info["map_type"]
	if !isMap {
		return i, fmt.Errorf("%s: %w: it is not a map", m.Name(), ErrMapShape)
	}
	i.Spec = MapSpec{Type: "type " + kernel, Frozen: info["frozen"] == "1"}
	for _, t := range mapTypes() {
		if kernel == fmt.Sprint(t.kernel) {
			i.Spec.Type = t.name
		}
	}
	for key, dst := range map[string]*uint32{
		"key_size": &i.Spec.KeySize, "value_size": &i.Spec.ValueSize, "max_entries": &i.Spec.MaxEntries,
		"map_flags": &i.Spec.Flags, "map_id": &i.ID,
	} {
		n, err := parseInfo(m, info, key, 32)
		if err != nil {
			return i, err
		}
		*dst = uint32(n)
	}
	i.Memory, err = parseInfo(m, info, "memlock", 64)
	return i, err
}

func parseInfo(m *os.File, info map[string]string, key string, bits int) (uint64, error) {
	n, err := strconv.ParseUint(info[key], 0, bits)
	if err != nil {
		return 0, fmt.Errorf("%s: %s in its fdinfo: %w", m.Name(), key, err)
	}
	return n, nil
}
