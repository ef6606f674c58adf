package bpffs

import (
	"fmt"
	"strings"
)

// A MapType is a type of BPF maps: a number of enum bpf_map_type
// (include/uapi/linux/bpf.h), such as unix.BPF_MAP_TYPE_HASH.
type MapType uint32

// String returns the name that bpftool has for the type, such as "percpu_hash".
func (t MapType) String() string {
	if r, ok := t.rules(); ok {
		return r.name
	}
	return fmt.Sprintf("type %d", uint32(t))
}

// ParseMapType returns the type of that name. The error lists the types whose maps
// can be created from a [MapSpec] alone; those missing need BTF (local storage,
// struct_ops).
func ParseMapType(name string) (MapType, error) {
	for t, r := range mapTypes {
		if r.name == name && name != "" {
			return MapType(t), nil
		}
	}
	var names []string
	for _, r := range mapTypes {
		if r.name != "" {
			names = append(names, r.name)
		}
	}
	return 0, fmt.Errorf("bpffs cannot create a map of type %q; use one of %s", name, strings.Join(names, ", "))
}

// rules returns what the kernel wants of maps of the type, if they can be created.
func (t MapType) rules() (typeRules, bool) {
	if int(t) >= len(mapTypes) || mapTypes[t].name == "" {
		return typeRules{}, false
	}
	return mapTypes[t], true
}

// Flags of map creation that the rules below name (include/uapi/linux/bpf.h).
const (
	flagNoPrealloc  = 1 << 0
	flagNoCommonLRU = 1 << 1
	flagNUMANode    = 1 << 2
	flagRdonly      = 1 << 3
	flagWronly      = 1 << 4
	flagRdonlyProg  = 1 << 7
	flagMmapable    = 1 << 10
	flagVtypeBTF    = 1 << 15
	flagTokenFD     = 1 << 16

	// flagsNeedMore need a further parameter, which a MapSpec does not have.
	flagsNeedMore = flagNUMANode | flagVtypeBTF | flagTokenFD
	// flagsOfDescriptor are about the descriptor that creation returns; the map does
	// not keep them.
	flagsOfDescriptor = flagRdonly | flagWronly
)

// What MaxEntries may be.
const (
	entriesSome  = iota // at least one
	entriesCPUs         // 0 means one for each possible CPU
	entriesNone         // must be 0
	entriesBytes        // a power of two that whole pages fill
)

// Sizes of keys and values, in bytes.
var (
	size0     = []uint32{0}
	size4     = []uint32{4}
	size4or8  = []uint32{4, 8} // with more than a descriptor in the value
	size8or16 = []uint32{8, 16}
)

// What the kernel reserves for an entry when it creates a map, beside what the list
// of entries takes.
const (
	storesNothing  = iota
	storesPacked   // the value
	storesValues   // the value, rounded up
	storesElements // key and value, rounded up, and what links them; unless flagNoPrealloc says later
)

// Numbers of entries above which the kernel refuses a map by itself, whatever memory
// there is.
const (
	maxBuckets = 1 << 27 // 16 bytes each, whose number of bytes has 32 bits
	maxRounded = 1 << 31 // the number is rounded up to a power of two in 32 bits
)

// typeRules are what the kernel wants of the maps of one type. An empty list of
// sizes takes any but 0.
type typeRules struct {
	name          string
	keys, values  []uint32
	entries       int
	flags, forced uint32 // wanted from the caller; set by the kernel itself
	inner         bool
	lazy          bool   // entries take memory when they are used, not before
	limit         uint32 // entries; 0 if only memory limits them
	each          uint32 // bytes that an entry of the list takes at least
	stores        int
}

// mapTypes has the rules of the types by their numbers.
var mapTypes = [...]typeRules{
	1:  {name: "hash", limit: maxBuckets, each: 16, stores: storesElements},
	2:  {name: "array", keys: size4, stores: storesValues},
	3:  {name: "prog_array", keys: size4, values: size4, each: 8},
	4:  {name: "perf_event_array", keys: size4, values: size4, entries: entriesCPUs, each: 8},
	5:  {name: "percpu_hash", limit: maxBuckets, each: 16, stores: storesElements},
	6:  {name: "percpu_array", keys: size4, each: 8, stores: storesValues},
	7:  {name: "stack_trace", keys: size4, limit: maxRounded, each: 8, stores: storesValues},
	8:  {name: "cgroup_array", keys: size4, values: size4, each: 8},
	9:  {name: "lru_hash", limit: maxBuckets, each: 16, stores: storesElements},
	10: {name: "lru_percpu_hash", limit: maxBuckets, each: 16, stores: storesElements},
	11: {name: "lpm_trie", flags: flagNoPrealloc, lazy: true},
	12: {name: "array_of_maps", keys: size4, values: size4, inner: true, each: 8},
	13: {name: "hash_of_maps", values: size4, inner: true, limit: maxBuckets, each: 16, stores: storesElements},
	14: {name: "devmap", keys: size4, values: size4or8, forced: flagRdonlyProg, each: 8},
	15: {name: "sockmap", keys: size4, values: size4or8, each: 8},
	16: {name: "cpumap", keys: size4, values: size4or8, lazy: true},
	17: {name: "xskmap", keys: size4, values: size4, each: 8},
	18: {name: "sockhash", values: size4or8, limit: maxBuckets, each: 16},
	19: {name: "cgroup_storage", keys: size8or16, entries: entriesNone},
	20: {name: "reuseport_sockarray", keys: size4, values: size4or8, each: 8},
	21: {name: "percpu_cgroup_storage", keys: size8or16, entries: entriesNone},
	22: {name: "queue", keys: size0, stores: storesPacked},
	23: {name: "stack", keys: size0, stores: storesPacked},
	25: {name: "devmap_hash", keys: size4, values: size4or8, forced: flagRdonlyProg, limit: maxRounded, each: 8},
	27: {name: "ringbuf", keys: size0, values: size0, entries: entriesBytes, each: 1},
	30: {name: "bloom_filter", keys: size0},
	31: {name: "user_ringbuf", keys: size0, values: size0, entries: entriesBytes, each: 1},
	33: {name: "arena", keys: size0, values: size0, flags: flagMmapable, lazy: true},
}
