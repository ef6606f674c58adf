package bpffs

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cni-bpffs/cni-bpffs/internal/bpf"
	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// plain returns a spec of the type that the kernel takes.
func plain(t MapType) MapSpec {
	r, _ := t.rules()
	s := MapSpec{Type: t, KeySize: 8, ValueSize: 8, MaxEntries: 1, Flags: r.flags}
	if len(r.keys) > 0 {
		s.KeySize = r.keys[0]
	}
	if len(r.values) > 0 {
		s.ValueSize = r.values[0]
	}
	switch r.entries {
	case entriesNone:
		s.MaxEntries = 0
	case entriesBytes:
		s.MaxEntries = 1 << 16 // a page of any kernel
	}
	if r.inner {
		s.Inner = &MapSpec{Type: unix.BPF_MAP_TYPE_ARRAY, KeySize: 4, ValueSize: 4, MaxEntries: 1}
	}
	return s
}

func creatable() (types []MapType) {
	for t, r := range mapTypes {
		if r.name != "" {
			types = append(types, MapType(t))
		}
	}
	return types
}

// TestStatusIsAnADDThatStopsOfMaps: what the kernel refuses whatever memory is free,
// CheckMaps reports, and nothing else.
func TestStatusIsAnADDThatStopsOfMaps(t *testing.T) {
	testns.Need(t)
	var specs []MapSpec
	for _, kind := range creatable() {
		s := plain(kind)
		r, _ := kind.rules()
		specs = append(specs, s)
		if r.entries == entriesNone {
			continue
		}
		for _, n := range []uint32{1 << 12, 1 << 16, 100_000, 1<<20 + 1} {
			if s.MaxEntries = n; r.lazy || n <= 1<<16 {
				specs = append(specs, s)
			}
		}
		if r.limit > 0 { // these take no memory when they are refused
			for _, n := range []uint32{r.limit + 1, r.limit + r.limit/2, math.MaxUint32} {
				s.MaxEntries = n
				specs = append(specs, s)
			}
		}
	}
	for _, kind := range []MapType{unix.BPF_MAP_TYPE_ARRAY, unix.BPF_MAP_TYPE_QUEUE, unix.BPF_MAP_TYPE_HASH, unix.BPF_MAP_TYPE_PERCPU_ARRAY} {
		for _, size := range []uint32{1 << 12, 1<<15 + 8, 5 << 20, math.MaxInt32 + 1, math.MaxUint32} {
			s := plain(kind)
			s.ValueSize = size
			specs = append(specs, s)
		}
	}
	outer := plain(unix.BPF_MAP_TYPE_ARRAY_OF_MAPS)
	for _, n := range []uint32{1, maxBuckets + 1, math.MaxUint32} {
		inner := plain(unix.BPF_MAP_TYPE_HASH)
		inner.MaxEntries = n
		outer.Inner = &inner
		specs = append(specs, outer)
	}
	agreed := map[bool]int{}
	for _, s := range specs {
		decl := []MapDecl{{Name: "policy_", Spec: s}}
		made, add := NewMaps(decl)
		if add == nil {
			testns.Must(t, made.Close())
		}
		status := CheckMaps(decl)
		if fmt.Sprint(status) != fmt.Sprint(add) {
			t.Errorf("%v: CheckMaps: %v; NewMaps: %v; want the same", s, status, add)
		}
		if status != nil && !errors.Is(status, ErrMapRefused) {
			t.Errorf("%v: CheckMaps: %v; want %v", s, status, ErrMapRefused)
		}
		agreed[status == nil]++
	}
	if agreed[true] < len(creatable()) || agreed[false] < 20 {
		t.Errorf("the kernel took %d of the shapes and refused %d; want all types and 20 impossible ones", agreed[true], agreed[false])
	}
}

// TestStatusIsAnADDThatStopsWithoutMemory: a map that needs more memory than the node
// has is refused, and nobody takes any to know that.
func TestStatusIsAnADDThatStopsWithoutMemory(t *testing.T) {
	testns.Need(t)
	total, err := totalMemory()
	testns.Must(t, err)
	var specs []MapSpec
	for _, kind := range creatable() {
		small, large := plain(kind), plain(kind)
		specs = append(specs, small)
		if r, _ := kind.rules(); len(r.values) == 0 && r.entries != entriesNone {
			large.ValueSize = 1000
			specs = append(specs, large)
		}
	}
	tried := 0
	for _, s := range specs {
		r, _ := s.Type.rules()
		s.MaxEntries = 0
		fixed := s.reserved()
		s.MaxEntries = 1
		each := s.reserved() - fixed
		if s.MaxEntries = math.MaxUint32; r.limit != 0 {
			s.MaxEntries = r.limit
		}
		if r.entries == entriesBytes || each == 0 || total/each >= uint64(s.MaxEntries) {
			continue // on a node with this much memory it can be had
		}
		s.MaxEntries = uint32(total/each) + 1
		tried++
		err := CheckMaps([]MapDecl{{Name: "policy_", Spec: s}})
		if !errors.Is(err, ErrMapRefused) || !errors.Is(err, syscall.ENOMEM) || !strings.Contains(err.Error(), s.String()) {
			t.Errorf("CheckMaps of %v on a node with %d bytes: %v; want %v, with the shape", s, total, err, syscall.ENOMEM)
		}
	}
	if tried < 3 {
		t.Errorf("%d shapes need more memory than %d bytes, want several", tried, total)
	}
}

// TestStatusTakesNoMemory: what CheckMaps creates is small, however large the declared
// map is.
func TestStatusTakesNoMemory(t *testing.T) {
	testns.Need(t)
	const limit = longestProbed + 1<<20
	for _, kind := range creatable() {
		if kind == unix.BPF_MAP_TYPE_LPM_TRIE {
			continue // it takes memory with each entry; before Linux 6.4 the kernel tells that of all
		}
		r, _ := kind.rules()
		for _, n := range []uint32{1 << 16, 1 << 20, maxBuckets, 1 << 30, 1 << 31, math.MaxUint32} {
			for _, size := range []uint32{8, 1 << 12, 1 << 30, math.MaxInt32} {
				s := plain(kind)
				if s.MaxEntries = n; r.entries == entriesNone {
					s.MaxEntries = 0
				}
				if len(r.values) == 0 {
					s.ValueSize = size
				}
				f, err := s.probe().create("policy_")
				if err != nil {
					continue
				}
				info, err := bpf.Info(f)
				testns.Must(t, err)
				if info.Memory > limit {
					t.Errorf("CheckMaps of %v takes %d bytes, want at most %d", s, info.Memory, limit)
				}
				testns.Must(t, f.Close())
			}
		}
	}
}
