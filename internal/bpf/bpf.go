// Package bpf makes, pins and looks at maps by bpf(2).
package bpf

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/cni-bpffs/cni-bpffs/internal/fdinfo"
)

// MaxName is how long the kernel's own name of a map can be.
const MaxName = nameSize - 1

// A MapAttr says which map to create, in the terms of union bpf_attr
// (include/uapi/linux/bpf.h).
type MapAttr struct {
	Type, KeySize, ValueSize, MaxEntries, Flags uint32

	Inner *os.File // a map like those inside a map of maps
	Name  string   // cut to [MaxName] bytes
}

// ErrNotMap says that something else of BPF, or nothing of BPF at all, is where a
// map was looked for.
var ErrNotMap = errors.New("not a map")

// MapInfo is what the kernel says of a map.
type MapInfo struct {
	ID, Type, KeySize, ValueSize, MaxEntries, Flags uint32

	Frozen bool
	Memory uint64 // bytes; an estimate before Linux 6.4
}

// Info returns what the kernel says of the open map: [ErrNotMap] if it is a
// program or a link. It needs /proc.
func Info(m *os.File) (i MapInfo, err error) {
	info, err := fdinfo.Of(m)
	if err != nil {
		return i, err
	}
	if _, isMap := info["map_type"]; !isMap {
		return i, fmt.Errorf("%s: %w", m.Name(), ErrNotMap)
	}
	i.Frozen = info["frozen"] == "1"
	for _, field := range []struct {
		key string
		dst *uint32
	}{
		{"map_id", &i.ID},
		{"map_type", &i.Type},
		{"key_size", &i.KeySize},
		{"value_size", &i.ValueSize},
		{"max_entries", &i.MaxEntries},
		{"map_flags", &i.Flags},
	} {
		n, err := parse(m, info, field.key, 32)
		if err != nil {
			return i, err
		}
		*field.dst = uint32(n)
	}
	i.Memory, err = parse(m, info, "memlock", 64)
	return i, err
}

// MapID returns the kernel's ID of the map that is pinned at path, which no other
// map gets while the node runs.
func MapID(path string) (uint32, error) {
	m, err := OpenToRead(path)
	if err != nil {
		return 0, err
	}
	defer m.Close()
	i, err := Info(m)
	return i.ID, err
}

func parse(m *os.File, info map[string]string, key string, bits int) (uint64, error) {
	n, err := strconv.ParseUint(info[key], 0, bits)
	if err != nil {
		return 0, fmt.Errorf("%s: %s in its fdinfo: %w", m.Name(), key, err)
	}
	return n, nil
}

// PossibleCPUs returns how many CPUs the kernel could ever bring up.
func PossibleCPUs() (uint32, error) {
	const file = "/sys/devices/system/cpu/possible"
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	list := strings.TrimSpace(string(text))
	last := list[strings.LastIndexAny(list, ",-")+1:]
	n, err := strconv.ParseUint(last, 10, 31)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", file, err)
	}
	return uint32(n) + 1, nil
}
