package bpffs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cni-bpffs/cni-bpffs/internal/bpf"
	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// comesBack makes a map of the shape, if that is accepted, and compares what the
// kernel has with what a later ADD or CHECK expects.
func comesBack(t *testing.T, s MapSpec) (accepted bool) {
	t.Helper()
	if s.Check() != nil {
		return false
	}
	m, err := s.create("comes_back")
	if err != nil {
		return false
	}
	defer m.Close()
	i, err := bpf.Info(m)
	testns.Must(t, err)
	want, err := s.inKernel()
	testns.Must(t, err)
	got := MapSpec{Type: MapType(i.Type), KeySize: i.KeySize, ValueSize: i.ValueSize, MaxEntries: i.MaxEntries, Flags: i.Flags, Frozen: i.Frozen}
	if got != want {
		t.Errorf("a map that was accepted as %v: got %v, want %v", s, got, want)
	}
	return true
}

// sizesOf returns the sizes to try of what a rule allows.
func sizesOf(allowed []uint32) []uint32 {
	if len(allowed) > 0 {
		return allowed
	}
	return []uint32{8, 1, 4, 5, 16, 48}
}

// TestWhatIsAcceptedComesBack: a map of any type, with any two flags and of odd sizes,
// is either refused when it is made, or never found to have another shape.
func TestWhatIsAcceptedComesBack(t *testing.T) {
	testns.Need(t)
	const flags = 20 // more than there are
	for number, r := range mapTypes {
		if r.name == "" {
			continue
		}
		t.Run(r.name, func(t *testing.T) {
			plain := MapSpec{
				Type: MapType(number), KeySize: sizesOf(r.keys)[0], ValueSize: sizesOf(r.values)[0], MaxEntries: 4096, Flags: r.flags,
			}
			if r.entries == entriesNone {
				plain.MaxEntries = 0
			}
			if r.inner {
				plain.Inner = &MapSpec{Type: unix.BPF_MAP_TYPE_ARRAY, KeySize: 4, ValueSize: 4, MaxEntries: 1}
			}
			accepted := 0
			try := func(s MapSpec) {
				if comesBack(t, s) {
					accepted++
				}
			}
			for first := range flags {
				for second := range first + 1 {
					s := plain
					s.Flags |= 1<<first | 1<<second
					try(s)
				}
			}
			for _, key := range sizesOf(r.keys) {
				for _, value := range sizesOf(r.values) {
					for _, entries := range []uint32{0, 1, 2, 3, 7, 1000, 4096, 4097} {
						for _, frozen := range []bool{false, true} {
							s := plain
							s.KeySize, s.ValueSize, s.MaxEntries, s.Frozen = key, value, entries, frozen
							try(s)
						}
					}
				}
			}
			t.Logf("%d shapes of type %s were accepted", accepted, r.name)
		})
	}
}

// TestWhatIsAcceptedIsNotOfADescriptor: flags that the kernel forgets are refused, also
// of the maps in a map.
func TestWhatIsAcceptedIsNotOfADescriptor(t *testing.T) {
	for _, flags := range []uint32{8, 16, 24, 8 | flagNoPrealloc, 16 | flagMmapable} {
		hash := MapSpec{Type: unix.BPF_MAP_TYPE_HASH, KeySize: 4, ValueSize: 4, MaxEntries: 1, Flags: flags}
		outer := MapSpec{Type: unix.BPF_MAP_TYPE_ARRAY_OF_MAPS, KeySize: 4, ValueSize: 4, MaxEntries: 1, Inner: &hash}
		for _, s := range []MapSpec{hash, outer} {
			if spec, ok := errors.AsType[*SpecError](s.Check()); !ok || spec.Field != "flags" && spec.Field != "inner" {
				t.Errorf("Check of %v: got %v, want a SpecError about flags", s, s.Check())
			}
		}
	}
}

// TestWhatIsAcceptedIsNoLink: what leads elsewhere is no map, whether there is
// something or not.
func TestWhatIsAcceptedIsNoLink(t *testing.T) {
	for name, target := range map[string]func(e *Endpoints) string{
		"to nothing":   func(*Endpoints) string { return "missing" },
		"to itself":    func(*Endpoints) string { return "policy_" },
		"to a map":     func(e *Endpoints) string { p := mapsOf(e).MapPath("other"); pinAnyMap(t, p); return p },
		"to directory": func(e *Endpoints) string { return e.Root() },
	} {
		t.Run(name, func(t *testing.T) {
			decl := array("policy_")
			e, id := endpointWith(t, decl)
			path := mapsOf(e).LocalMapPath("policy_", id)
			symlink(t, target(e), path)
			for what, err := range map[string]error{
				"PinMaps": createMaps(e, id, []MapDecl{decl}), "CheckMap": e.CheckMap(id, "", decl),
			} {
				if !errors.Is(err, ErrMapShape) || errors.Is(err, fs.ErrExist) || errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s with a link %s: got %v, want %v", what, name, err, ErrMapShape)
				}
			}
			if _, err := os.Lstat(path); err != nil {
				t.Errorf("the link: got %v, want it to stay", err)
			}
		})
	}
}

// TestWhatIsAcceptedNeedsProc: where /proc does not tell what is pinned, it is there
// all the same: nothing is made in its place.
func TestWhatIsAcceptedNeedsProc(t *testing.T) {
	decl := array("policy_")
	e, id := endpointWith(t, decl)
	testns.Must(t, createMaps(e, id, []MapDecl{decl}))
	before, err := ReadMap(mapsOf(e).LocalMapPath("policy_", id))
	testns.Must(t, err)
	t.Run("without /proc", func(t *testing.T) {
		testns.Mount(t, "tmpfs", "/proc", "")
		for what, err := range map[string]error{
			"PinMaps": createMaps(e, id, []MapDecl{decl}), "CheckMap": e.CheckMap(id, "", decl),
		} {
			if err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrExist) {
				t.Errorf("%s: got %v, want an error that does not say that the map is missing", what, err)
			}
		}
	})
	if after, err := ReadMap(mapsOf(e).LocalMapPath("policy_", id)); err != nil || after.ID != before.ID {
		t.Errorf("the map: got %s (%v), want the same as before: %d", fmt.Sprint(after.ID), err, before.ID)
	}
}
