package bpffs

import (
	"fmt"
	"math"
	"os"
	"slices"
	"strings"

	"github.com/cni-bpffs/cni-bpffs/internal/bpf"
	"github.com/cni-bpffs/cni-bpffs/internal/errlist"
)

// A MapSpec is the shape of a map to create. Its zero value means that the map
// is created by somebody else.
type MapSpec struct {
	Type MapType
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
	text := fmt.Sprintf("%v, keySize %d, valueSize %d, maxEntries %d, flags %#x",
		s.Type, s.KeySize, s.ValueSize, s.MaxEntries, s.Flags)
	if s.Inner != nil {
		text += fmt.Sprintf(", inner (%v)", s.Inner)
	}
	if s.Frozen {
		text += ", frozen"
	}
	return text
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
	if s.Type == 0 {
		return specErrorf("type", "it is missing: every other parameter depends on it")
	}
	r, ok := s.Type.rules()
	if !ok {
		return specErrorf("type", "bpffs cannot create maps of %v", s.Type)
	}
	return errlist.Join(
		checkSize("keySize", s.KeySize, r.keys, r.name),
		checkSize("valueSize", s.ValueSize, r.values, r.name),
		s.checkEntries(r), s.checkFlags(r), s.checkInner(r))
}

func checkSize(field string, size uint32, allowed []uint32, name string) error {
	if len(allowed) == 0 && size > 0 || slices.Contains(allowed, size) {
		return nil
	}
	want := "more than 0"
	if len(allowed) > 0 {
		want = strings.Trim(strings.ReplaceAll(fmt.Sprint(allowed), " ", " or "), "[]")
	}
	return specErrorf(field, "a map of type %s needs %s bytes, not %d", name, want, size)
}

func (s MapSpec) checkEntries(r typeRules) error {
	page := uint32(os.Getpagesize())
	switch {
	case r.entries == entriesSome && s.MaxEntries == 0:
		return specErrorf("maxEntries", "a map of type %s needs at least 1", r.name)
	case r.entries == entriesNone && s.MaxEntries != 0:
		return specErrorf("maxEntries", "a map of type %s needs 0", r.name)
	case r.entries == entriesBytes && (s.MaxEntries < page || s.MaxEntries&(s.MaxEntries-1) != 0):
		return specErrorf("maxEntries",
			"a map of type %s needs its size in bytes: a power of two, at least a page (%d)", r.name, page)
	}
	return nil
}

func (s MapSpec) checkFlags(r typeRules) error {
	if missing := r.flags &^ s.Flags; missing != 0 {
		return specErrorf("flags", "a map of type %s needs the flag %d", r.name, missing)
	}
	if more := s.Flags & flagsNeedMore; more != 0 {
		return specErrorf("flags", "the flag %d needs a parameter that bpffs does not support", more)
	}
	if lost := s.Flags & flagsOfDescriptor; lost != 0 {
		return specErrorf("flags", "the flag %d applies to a descriptor, not to the map: leave it out", lost)
	}
	return nil
}

func (s MapSpec) checkInner(r typeRules) error {
	switch {
	case r.inner && s.Inner == nil:
		return specErrorf("inner", "it is missing: a map of type %s needs the shape of the maps in it", r.name)
	case !r.inner && s.Inner != nil:
		return specErrorf("inner", "a map of type %s holds no maps", r.name)
	case s.Inner == nil:
		return nil
	case s.Inner.Inner != nil || s.Inner.Frozen || s.Inner.Type == 0:
		return specErrorf("inner", "it needs a type, and can neither hold maps nor be frozen")
	}
	if err := s.Inner.Check(); err != nil {
		return &SpecError{"inner", err}
	}
	return nil
}

// entries returns the number of entries that a map of s has in the kernel.
func (s MapSpec) entries() (uint32, error) {
	r, _ := s.Type.rules()
	perCPU := s.Flags&flagNoCommonLRU != 0 // the kernel rounds up to full lists
	if r.entries != entriesCPUs && !perCPU {
		return s.MaxEntries, nil
	}
	cpus, err := bpf.PossibleCPUs()
	if s.MaxEntries == 0 || err != nil {
		return cpus, err
	}
	if perCPU {
		return (s.MaxEntries + cpus - 1) / cpus * cpus, nil
	}
	return s.MaxEntries, nil
}

// reserved returns how much memory the kernel takes for the map and those in it before
// it has created them, in bytes, at least.
func (s MapSpec) reserved() uint64 {
	const links = 48 // bytes of an element (kernel/bpf/hashtab.c)
	rounded := func(size uint32) uint64 { return (uint64(size) + 7) &^ 7 }
	r, _ := s.Type.rules()
	each := uint64(r.each)
	switch {
	case r.stores == storesPacked:
		each += uint64(s.ValueSize)
	case r.stores == storesValues:
		each += rounded(s.ValueSize)
	case r.stores == storesElements && s.Flags&flagNoPrealloc == 0:
		each += links + rounded(s.KeySize) + rounded(s.ValueSize)
	}
	total := each * uint64(s.MaxEntries)
	if s.Inner != nil {
		total += s.Inner.reserved()
	}
	return total
}

// longestProbed is how many bytes of a value are allocated only to see what the kernel
// says. Of the types that store values only arrays can have longer ones.
const longestProbed = 16 << 20

// probe returns a spec that the kernel refuses where it refuses s, unless for want of
// memory, but which takes next to none. What only a number of entries can be wrong
// about it refuses before it takes memory; else the fewest entries will do.
func (s MapSpec) probe() MapSpec {
	r, _ := s.Type.rules()
	if s.Inner != nil {
		inner := s.Inner.probe()
		s.Inner = &inner
	}
	if r.lazy || r.limit != 0 && s.MaxEntries > r.limit {
		return s
	}
	switch r.entries {
	case entriesSome, entriesCPUs:
		s.MaxEntries = 1
	case entriesBytes:
		s.MaxEntries = uint32(os.Getpagesize())
	}
	if s.ValueSize <= math.MaxInt32 {
		s.ValueSize = min(s.ValueSize, longestProbed)
	}
	return s
}

// inKernel returns what the kernel reports of a map that was created from s. The
// shape of the maps inside a map cannot be read back.
func (s MapSpec) inKernel() (MapSpec, error) {
	r, _ := s.Type.rules()
	entries, err := s.entries()
	return MapSpec{
		Type: s.Type, KeySize: s.KeySize, ValueSize: s.ValueSize, MaxEntries: entries,
		Flags: s.Flags | r.forced, Frozen: s.Frozen,
	}, err
}
