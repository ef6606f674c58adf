package bpffs

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

// A MapSpec is the shape of a map to create. Its zero value means that the map
// is created by somebody else.
type MapSpec struct {
	// Type is the name that bpftool has for the type, such as "percpu_hash".
	Type string
	// KeySize and ValueSize are in bytes.
	KeySize, ValueSize uint32
	// MaxEntries counts entries; for ringbuf and user_ringbuf bytes, for arena
	// pages. 0 for a perf_event_array means one for each possible CPU.
	MaxEntries uint32
	// Flags are the BPF_F_ flags of map creation (include/uapi/linux/bpf.h).
	Flags uint32
	// Inner is the shape of the maps that an array_of_maps or hash_of_maps holds.
	Inner *MapSpec
	// Frozen keeps user space from changing the contents; programs still can.
	Frozen bool
}

// String returns the shape as messages show it.
func (s MapSpec) String() string {
	text := fmt.Sprintf("%s, keySize %d, valueSize %d, maxEntries %d, flags %#x",
		s.Type, s.KeySize, s.ValueSize, s.MaxEntries, s.Flags)
	if s.Inner != nil {
		text += fmt.Sprintf(", inner (%v)", s.Inner)
	}
	if s.Frozen {
		text += ", frozen"
	}
	return text
}

// Flags of map creation that the rules below name (include/uapi/linux/bpf.h).
const (
	flagNoPrealloc  = 1 << 0
	flagNoCommonLRU = 1 << 1
	flagNUMANode    = 1 << 2
	flagRdonlyProg  = 1 << 7
	flagMmapable    = 1 << 10
	flagVtypeBTF    = 1 << 15
	flagTokenFD     = 1 << 16

	// flagsNeedMore need a further parameter, which a MapSpec does not have.
	flagsNeedMore = flagNUMANode | flagVtypeBTF | flagTokenFD
)

// Rules for MaxEntries.
const (
	entriesSome  = iota // at least one
	entriesCPUs         // 0 means one for each possible CPU
	entriesNone         // must be 0
	entriesBytes        // a power of two that whole pages fill
)

// A mapType is what the kernel wants of the maps of one type. An empty list of
// sizes takes any but 0.
type mapType struct {
	name          string
	kernel        uint32 // enum bpf_map_type
	keys, values  []uint32
	entries       int
	flags, forced uint32 // wanted from the caller; set by the kernel itself
	inner         bool
}

// mapTypes are the types that can be created from a MapSpec alone. Those missing
// need BTF (local storage, struct_ops).
func mapTypes() []mapType {
	var (
		none  = []uint32{0}
		index = []uint32{4}
		fd    = []uint32{4}
		fd8   = []uint32{4, 8} // with more than a descriptor in the value
	)
	return []mapType{
		{name: "hash", kernel: 1},
		{name: "array", kernel: 2, keys: index},
		{name: "prog_array", kernel: 3, keys: index, values: fd},
		{name: "perf_event_array", kernel: 4, keys: index, values: fd, entries: entriesCPUs},
		{name: "percpu_hash", kernel: 5},
		{name: "percpu_array", kernel: 6, keys: index},
		{name: "stack_trace", kernel: 7, keys: index},
		{name: "cgroup_array", kernel: 8, keys: index, values: fd},
		{name: "lru_hash", kernel: 9},
		{name: "lru_percpu_hash", kernel: 10},
		{name: "lpm_trie", kernel: 11, flags: flagNoPrealloc},
		{name: "array_of_maps", kernel: 12, keys: index, values: fd, inner: true},
		{name: "hash_of_maps", kernel: 13, values: fd, inner: true},
		{name: "devmap", kernel: 14, keys: index, values: fd8, forced: flagRdonlyProg},
		{name: "sockmap", kernel: 15, keys: index, values: fd8},
		{name: "cpumap", kernel: 16, keys: index, values: fd8},
		{name: "xskmap", kernel: 17, keys: index, values: fd},
		{name: "sockhash", kernel: 18, values: fd8},
		{name: "cgroup_storage", kernel: 19, keys: []uint32{8, 16}, entries: entriesNone},
		{name: "reuseport_sockarray", kernel: 20, keys: index, values: fd8},
		{name: "percpu_cgroup_storage", kernel: 21, keys: []uint32{8, 16}, entries: entriesNone},
		{name: "queue", kernel: 22, keys: none},
		{name: "stack", kernel: 23, keys: none},
		{name: "devmap_hash", kernel: 25, keys: index, values: fd8, forced: flagRdonlyProg},
		{name: "ringbuf", kernel: 27, keys: none, values: none, entries: entriesBytes},
		{name: "bloom_filter", kernel: 30, keys: none},
		{name: "user_ringbuf", kernel: 31, keys: none, values: none, entries: entriesBytes},
		{name: "arena", kernel: 33, keys: none, values: none, flags: flagMmapable},
	}
}

func findMapType(name string) (mapType, error) {
	var names []string
	for _, t := range mapTypes() {
		if t.name == name {
			return t, nil
		}
		names = append(names, t.name)
	}
	return mapType{}, fmt.Errorf("there is no type %q that can be created here; there are %s", name, strings.Join(names, ", "))
}

// A SpecError says which part of a MapSpec is wrong. Field is named as in the
// configuration of the plugin.
type SpecError struct {
	Field  string
	Reason error
}

func (e *SpecError) Error() string { return e.Field + ": " + e.Reason.Error() }

// Unwrap returns the reason.
func (e *SpecError) Unwrap() error { return e.Reason }

func specErrorf(field, format string, args ...any) error {
	return &SpecError{field, fmt.Errorf(format, args...)}
}

// Check reports, as a [*SpecError], what the kernel would refuse about the
// shape, as far as that can be said without asking it.
func (s MapSpec) Check() error {
	if s == (MapSpec{}) {
		return nil
	}
	if s.Type == "" {
		return specErrorf("type", "it is missing, and without it no other parameter means anything")
	}
	t, err := findMapType(s.Type)
	if err != nil {
		return &SpecError{"type", err}
	}
	return errors.Join(
		checkSize("keySize", s.KeySize, t.keys, t.name),
		checkSize("valueSize", s.ValueSize, t.values, t.name),
		s.checkEntries(t), s.checkFlags(t), s.checkInner(t))
}

func checkSize(field string, size uint32, allowed []uint32, name string) error {
	if len(allowed) == 0 && size > 0 || slices.Contains(allowed, size) {
		return nil
	}
	want := "more than 0"
	if len(allowed) > 0 {
		want = strings.Trim(strings.ReplaceAll(fmt.Sprint(allowed), " ", " or "), "[]")
	}
	return specErrorf(field, "a map of type %s wants %s bytes, not %d", name, want, size)
}

func (s MapSpec) checkEntries(t mapType) error {
	page := uint32(os.Getpagesize())
	switch {
	case t.entries == entriesSome && s.MaxEntries == 0:
		return specErrorf("maxEntries", "a map of type %s wants at least 1", t.name)
	case t.entries == entriesNone && s.MaxEntries != 0:
		return specErrorf("maxEntries", "a map of type %s wants 0", t.name)
	case t.entries == entriesBytes && (s.MaxEntries < page || s.MaxEntries&(s.MaxEntries-1) != 0):
		return specErrorf("maxEntries",
			"a map of type %s wants its size in bytes here: a power of two, at least a page (%d)", t.name, page)
	}
	return nil
}

func (s MapSpec) checkFlags(t mapType) error {
	if missing := t.flags &^ s.Flags; missing != 0 {
		return specErrorf("flags", "a map of type %s needs the flag %d", t.name, missing)
	}
	if more := s.Flags & flagsNeedMore; more != 0 {
		return specErrorf("flags", "the flag %d needs a parameter that cannot be given here", more)
	}
	return nil
}

func (s MapSpec) checkInner(t mapType) error {
	switch {
	case t.inner && s.Inner == nil:
		return specErrorf("inner", "it is missing: a map of type %s needs the shape of the maps in it", t.name)
	case !t.inner && s.Inner != nil:
		return specErrorf("inner", "a map of type %s holds no maps", t.name)
	case s.Inner == nil:
		return nil
	case s.Inner.Inner != nil || s.Inner.Frozen || s.Inner.Type == "":
		return specErrorf("inner", "it wants a type, and cannot have maps in it or be frozen")
	}
	if err := s.Inner.Check(); err != nil {
		return &SpecError{"inner", err}
	}
	return nil
}

// entriesOf returns the number of entries that a map of s has in the kernel.
func (s MapSpec) entriesOf(t mapType) (uint32, error) {
	perCPU := s.Flags&flagNoCommonLRU != 0 // the kernel rounds up to full lists
	if t.entries != entriesCPUs && !perCPU {
		return s.MaxEntries, nil
	}
	cpus, err := possibleCPUs()
	if s.MaxEntries == 0 || err != nil {
		return cpus, err
	}
	if perCPU {
		return (s.MaxEntries + cpus - 1) / cpus * cpus, nil
	}
	return s.MaxEntries, nil
}

// shape returns what the kernel reports of a map that was created from s.
func (s MapSpec) shape(t mapType) (MapSpec, error) {
	entries, err := s.entriesOf(t)
	return MapSpec{
		Type: s.Type, KeySize: s.KeySize, ValueSize: s.ValueSize, MaxEntries: entries,
		Flags: s.Flags | t.forced, Frozen: s.Frozen,
	}, err
}
