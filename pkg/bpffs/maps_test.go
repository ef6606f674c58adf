package bpffs

import (
	"errors"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/cni-bpffs/cni-bpffs/internal/bpf"
	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

func array(name string) MapDecl {
	return MapDecl{Name: name, Spec: MapSpec{Type: unix.BPF_MAP_TYPE_ARRAY, KeySize: 4, ValueSize: 4, MaxEntries: 2}}
}

// endpointWith returns open records and an endpoint that owns the maps.
func endpointWith(tb testing.TB, decls ...MapDecl) (*Endpoints, uint16) {
	tb.Helper()
	e := newEndpoints(tb)
	var names []string
	for _, d := range decls {
		names = append(names, d.Name)
	}
	return e, allocate(tb, e, Attachment{"net", "pod", "eth0"}, names...)
}

// createMaps does what an ADD does with the declared maps.
func createMaps(e *Endpoints, id uint16, decls []MapDecl) error {
	made, err := NewMaps(decls)
	if err != nil {
		return err
	}
	defer made.Close()
	_, err = e.PinMaps(id, "", decls, made)
	return err
}

// elemAttr is the part of union bpf_attr for single elements.
type elemAttr struct {
	fd         uint32
	_          uint32
	key, value uint64
}

// element calls bpf(2) for element 0 of the pinned array.
func element(tb testing.TB, cmd int, path string, value *uint32) error {
	tb.Helper()
	m, err := bpf.Open(path)
	testns.Must(tb, err)
	defer m.Close()
	key := new(uint32)
	attr := elemAttr{
		fd:  uint32(m.Fd()),
		key: uint64(uintptr(unsafe.Pointer(key))), value: uint64(uintptr(unsafe.Pointer(value))),
	}
	_, _, errno := unix.Syscall(unix.SYS_BPF, uintptr(cmd), uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
	runtime.KeepAlive(key)
	runtime.KeepAlive(value)
	if errno != 0 {
		return errno
	}
	return nil
}

func TestCreateMapsKeepsTheContents(t *testing.T) {
	decl := array("policy_")
	e, id := endpointWith(t, decl)
	path := mapsOf(e).LocalMapPath("policy_", id)
	written, read := uint32(4711), uint32(0)
	testns.Must(t, createMaps(e, id, []MapDecl{decl}))
	testns.Must(t, element(t, unix.BPF_MAP_UPDATE_ELEM, path, &written))
	if err := createMaps(e, id, []MapDecl{decl}); err != nil {
		t.Errorf("PinMaps a second time: %v", err)
	}
	if err := element(t, unix.BPF_MAP_LOOKUP_ELEM, path, &read); err != nil || read != written {
		t.Errorf("element 0 = %d, %v after a second PinMaps; want %d", read, err, written)
	}
	if err := e.CheckMap(id, "", decl); err != nil {
		t.Errorf("CheckMap: %v", err)
	}
	if err := e.Release(Attachment{"net", "pod", "eth0"}); err != nil || isThere(t, path) {
		t.Errorf("Release: %v; %s is there: %v", err, path, isThere(t, path))
	}
}

func TestCreateMapsLeavesUntypedToOthers(t *testing.T) {
	decl := MapDecl{Name: "calls_"}
	e, id := endpointWith(t, decl)
	if err := createMaps(e, id, []MapDecl{decl}); err != nil || isThere(t, mapsOf(e).LocalMapPath("calls_", id)) {
		t.Errorf("PinMaps of a map without type: %v; want nothing made", err)
	}
}

func TestMapsOfAnEndpoint(t *testing.T) {
	decls := []MapDecl{{Name: "policy_"}, array("stats_"), array("ct_"), {Name: "x_"}}
	e, id := endpointWith(t, decls...)
	for _, step := range []struct{ create, want []string }{
		{nil, nil},
		{[]string{"stats_", "ct_"}, []string{"ct_", "stats_"}},
		{[]string{"stats_"}, []string{"stats_"}},
	} {
		var typed []MapDecl
		for _, name := range step.create {
			typed = append(typed, array(name))
		}
		testns.Must(t, createMaps(e, id, append(typed, decls[0])))
		var want []string
		for _, name := range step.want {
			want = append(want, mapsOf(e).LocalMapPath(name, id))
		}
		ep, err := e.Endpoint(id)
		if diff := cmp.Diff(want, ep.Maps); diff != "" || err != nil || len(ep.Pins) != len(decls) {
			t.Errorf("after PinMaps of %q: %v, pins %q; maps (-want +got):\n%s", step.create, err, ep.Pins, diff)
		}
	}
}

func TestCreateMapsIsAllOrNothing(t *testing.T) {
	kept := array("kept_")
	decls := []MapDecl{array("a_"), array("b_"), {Name: "c_", Spec: MapSpec{Type: unix.BPF_MAP_TYPE_LPM_TRIE, KeySize: 1, ValueSize: 4, MaxEntries: 1, Flags: 1}}}
	e, id := endpointWith(t, append(decls, kept)...)
	testns.Must(t, createMaps(e, id, []MapDecl{kept}))
	err := createMaps(e, id, append([]MapDecl{kept}, decls...))
	if !errors.Is(err, ErrMapRefused) || !errors.Is(err, syscall.EINVAL) || !strings.Contains(err.Error(), "c_") {
		t.Errorf("NewMaps with a third map that the kernel refuses: %v; want %v with its reason", err, ErrMapRefused)
	}
	for _, d := range decls {
		if path := mapsOf(e).LocalMapPath(d.Name, id); isThere(t, path) {
			t.Errorf("%s is left after PinMaps gave up", path)
		}
	}
	if path := mapsOf(e).LocalMapPath("kept_", id); !isThere(t, path) {
		t.Errorf("%s is gone, which an earlier call made", path)
	}
}

func TestCheckMap(t *testing.T) {
	decl := array("policy_")
	e, id := endpointWith(t, decl)
	if err := e.CheckMap(id, "", decl); !errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrMapShape) {
		t.Errorf("CheckMap of a missing map: %v; want %v", err, fs.ErrNotExist)
	}
	testns.Must(t, createMaps(e, id, []MapDecl{decl}))
	for _, row := range []struct {
		name   string
		change func(s *MapSpec)
	}{
		{"type", func(s *MapSpec) { s.Type = unix.BPF_MAP_TYPE_HASH }},
		{"valueSize", func(s *MapSpec) { s.ValueSize = 8 }},
		{"maxEntries", func(s *MapSpec) { s.MaxEntries = 3 }},
		{"flags", func(s *MapSpec) { s.Flags = flagMmapable }},
		{"frozen", func(s *MapSpec) { s.Frozen = true }},
	} {
		t.Run(row.name, func(t *testing.T) {
			other := MapDecl{Name: decl.Name, Spec: *changed(decl.Spec, row.change)}
			for call, err := range map[string]error{
				"CheckMap": e.CheckMap(id, "", other), "PinMaps": createMaps(e, id, []MapDecl{other}),
			} {
				if !errors.Is(err, ErrMapShape) || !strings.Contains(err.Error(), other.Spec.String()) ||
					!strings.Contains(err.Error(), decl.Spec.String()) {
					t.Errorf("%s with %v: %v; want %v with both shapes", call, other.Spec, err, ErrMapShape)
				}
			}
		})
	}
	if err := e.CheckMap(id, "", decl); err != nil {
		t.Errorf("CheckMap after the refusals: %v", err)
	}
}

func TestCheckMapOfNoMap(t *testing.T) {
	decl := array("policy_")
	e, id := endpointWith(t, decl)
	mkdir(t, mapsOf(e).LocalMapPath("policy_", id))
	if err := e.CheckMap(id, "", decl); !errors.Is(err, ErrMapShape) {
		t.Errorf("CheckMap of a directory: %v; want %v", err, ErrMapShape)
	}
	if err := e.CheckMap(id, "", MapDecl{Name: "policy_"}); err == nil {
		t.Error("CheckMap of a map without a type gave no error")
	}
}

func TestFrozenMap(t *testing.T) {
	decl := array("policy_")
	decl.Spec.Frozen = true
	e, id := endpointWith(t, decl)
	testns.Must(t, createMaps(e, id, []MapDecl{decl}))
	value := new(uint32)
	path := mapsOf(e).LocalMapPath("policy_", id)
	if err := element(t, unix.BPF_MAP_UPDATE_ELEM, path, value); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("writing to a frozen map: %v; want %v", err, fs.ErrPermission)
	}
	if err := e.CheckMap(id, "", decl); err != nil {
		t.Errorf("CheckMap of a frozen map: %v", err)
	}
}

func TestInnerMaps(t *testing.T) {
	for _, outer := range []MapType{unix.BPF_MAP_TYPE_ARRAY_OF_MAPS, unix.BPF_MAP_TYPE_HASH_OF_MAPS} {
		decl := MapDecl{Name: "ct_", Spec: MapSpec{
			Type: outer, KeySize: 4, ValueSize: 4, MaxEntries: 2,
			Inner: &MapSpec{Type: unix.BPF_MAP_TYPE_HASH, KeySize: 4, ValueSize: 8, MaxEntries: 16},
		}}
		e, id := endpointWith(t, decl)
		for range 2 {
			if err := createMaps(e, id, []MapDecl{decl}); err != nil {
				t.Errorf("PinMaps of %v: %v", decl.Spec, err)
			}
		}
		decl.Name = "broken_"
		decl.Spec.Inner = &MapSpec{Type: unix.BPF_MAP_TYPE_LPM_TRIE, KeySize: 1, ValueSize: 8, MaxEntries: 16, Flags: flagNoPrealloc}
		if err := createMaps(e, id, []MapDecl{decl}); !errors.Is(err, ErrMapRefused) || !strings.Contains(err.Error(), "inner: ") {
			t.Errorf("PinMaps of %v: %v; want %v about the inner map", decl.Spec, err, ErrMapRefused)
		}
	}
}

// TestMapIDs: the record says which map the kernel made for each pin, as long as it
// can hold that, and after each ADD those that are pinned.
func TestMapIDs(t *testing.T) {
	few := []MapDecl{array("a_"), array("b_")}
	many := make([]MapDecl, 150)
	for i := range many {
		many[i] = array(strings.Repeat("x", 24) + string(rune('a'+i%26)) + string(rune('a'+i/26)))
	}
	for _, row := range []struct {
		name  string
		decls []MapDecl
		again func(t *testing.T, e *Endpoints, id uint16, decls []MapDecl)
		ids   int
	}{
		{"created", few, func(*testing.T, *Endpoints, uint16, []MapDecl) {}, 2},
		{"kept", few, func(t *testing.T, e *Endpoints, id uint16, decls []MapDecl) {
			t.Helper()
			_, err := e.PinMaps(id, "", decls, nil)
			testns.Must(t, err)
		}, 2},
		{"one created again", few, func(t *testing.T, e *Endpoints, id uint16, decls []MapDecl) {
			t.Helper()
			testns.Must(t, os.Remove(mapsOf(e).LocalMapPath("a_", id)))
			testns.Must(t, createMaps(e, id, decls))
		}, 2},
		{"too many", many, func(*testing.T, *Endpoints, uint16, []MapDecl) {}, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			e, id := endpointWith(t, row.decls...)
			testns.Must(t, createMaps(e, id, row.decls))
			row.again(t, e, id, row.decls)
			ep, err := e.Endpoint(id)
			testns.Must(t, err)
			if len(ep.Maps) != len(row.decls) || len(ep.MapIDs) != row.ids {
				t.Fatalf("got %d maps and %d IDs, want %d and %d", len(ep.Maps), len(ep.MapIDs), len(row.decls), row.ids)
			}
			for path, recorded := range ep.MapIDs {
				if m, err := ReadMap(path); err != nil || m.ID != recorded {
					t.Errorf("%s: got the ID %d, %v, recorded %d", path, m.ID, err, recorded)
				}
			}
		})
	}
}
