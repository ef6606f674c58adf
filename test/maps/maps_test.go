package maps

import (
	"errors"
	"fmt"
	stdmaps "maps"
	"os"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

// kind is a map type as it is declared, and what cilium/ebpf must read back.
type kind struct {
	name                       string
	typ                        ebpf.MapType
	key, value, entries, flags uint32
	extra                      keys
}

// kinds are all types that can be declared, one row each.
func kinds() []kind {
	inner := keys{"inner": keys{"type": "array", "keySize": 4, "valueSize": 8, "maxEntries": 1}}
	return []kind{
		{"hash", ebpf.Hash, 8, 8, 16, 0, nil},
		{"hash", ebpf.Hash, 8, 8, 16, unix.BPF_F_NO_PREALLOC, nil},
		{"array", ebpf.Array, 4, 16, 2, 0, nil},
		{"array", ebpf.Array, 4, 8, 2, unix.BPF_F_MMAPABLE, nil},
		{"prog_array", ebpf.ProgramArray, 4, 4, 4, 0, nil},
		{"perf_event_array", ebpf.PerfEventArray, 4, 4, 0, 0, nil},
		{"percpu_hash", ebpf.PerCPUHash, 4, 8, 16, 0, nil},
		{"percpu_array", ebpf.PerCPUArray, 4, 16, 2, 0, nil},
		{"stack_trace", ebpf.StackTrace, 4, 16, 8, 0, nil},
		{"cgroup_array", ebpf.CGroupArray, 4, 4, 1, 0, nil},
		{"lru_hash", ebpf.LRUHash, 4, 8, 16, 0, nil},
		{"lru_hash", ebpf.LRUHash, 4, 8, 17, unix.BPF_F_NO_COMMON_LRU, nil},
		{"lru_percpu_hash", ebpf.LRUCPUHash, 4, 8, 16, 0, nil},
		{"lpm_trie", ebpf.LPMTrie, 8, 4, 16, unix.BPF_F_NO_PREALLOC, nil},
		{"array_of_maps", ebpf.ArrayOfMaps, 4, 4, 2, 0, inner},
		{"hash_of_maps", ebpf.HashOfMaps, 8, 4, 2, 0, inner},
		{"devmap", ebpf.DevMap, 4, 4, 4, 0, nil},
		{"devmap", ebpf.DevMap, 4, 8, 4, 0, nil},
		{"sockmap", ebpf.SockMap, 4, 4, 4, 0, nil},
		{"cpumap", ebpf.CPUMap, 4, 4, 1, 0, nil},
		{"xskmap", ebpf.XSKMap, 4, 4, 2, 0, nil},
		{"sockhash", ebpf.SockHash, 16, 4, 4, 0, nil},
		{"cgroup_storage", ebpf.CGroupStorage, 8, 8, 0, 0, nil},
		{"reuseport_sockarray", ebpf.ReusePortSockArray, 4, 8, 2, 0, nil},
		{"percpu_cgroup_storage", ebpf.PerCPUCGroupStorage, 8, 8, 0, 0, nil},
		{"queue", ebpf.Queue, 0, 8, 4, 0, nil},
		{"stack", ebpf.Stack, 0, 8, 4, 0, nil},
		{"devmap_hash", ebpf.DevMapHash, 4, 4, 4, 0, nil},
		{"ringbuf", ebpf.RingBuf, 0, 0, 4096, 0, nil},
		{"bloom_filter", bloomFilter, 0, 16, 100, 0, nil},
		{"user_ringbuf", userRingbuf, 0, 0, 4096, 0, nil},
		{"arena", ebpf.Arena, 0, 0, 4, unix.BPF_F_MMAPABLE, nil},
		{"array", ebpf.Array, 4, 8, 1, 0, keys{"frozen": true}},
	}
}

// Types that cilium/ebpf has no name for.
const (
	bloomFilter = ebpf.MapType(30)
	userRingbuf = ebpf.MapType(31)
)

func (k kind) declared() keys {
	return newConfig(oneMap(keys{"name": "m_", "type": k.name}), keys{}).with(k)
}

func (c keys) with(k kind) keys {
	m := c["maps"].([]any)[0].(keys)
	for key, n := range map[string]uint32{"keySize": k.key, "valueSize": k.value, "maxEntries": k.entries, "flags": k.flags} {
		if n != 0 {
			m[key] = n
		}
	}
	stdmaps.Copy(m, k.extra)
	return c
}

// TestMapTypes takes a map of each type through the life of a pod.
func TestMapTypes(t *testing.T) {
	missing := 0
	for i, k := range kinds() {
		t.Run(fmt.Sprintf("%d/%s", i, k.name), func(t *testing.T) {
			emptyNode(t)
			if !kernelHas(t, k.typ) {
				missing++
				t.Skipf("this kernel has no maps of type %s", k.name)
			}
			testMapType(t, k)
		})
	}
	t.Logf("%d of %d rows were not run, for this kernel lacks the types", missing, len(kinds()))
}

// kernelHas reports whether the kernel knows a type at all: what it does not
// know it refuses as an invalid argument even for a nonsensical map.
func kernelHas(t testing.TB, typ ebpf.MapType) bool {
	t.Helper()
	release := kernelRelease(t)
	since := map[ebpf.MapType][2]int{ebpf.Arena: {6, 9}, userRingbuf: {6, 1}, bloomFilter: {5, 16}, ebpf.RingBuf: {5, 8}}
	v, listed := since[typ]
	return !listed || release[0] > v[0] || release[0] == v[0] && release[1] >= v[1]
}

func kernelRelease(t testing.TB) (v [2]int) {
	t.Helper()
	text, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscanf(string(text), "%d.%d", &v[0], &v[1]); err != nil {
		t.Fatal(err)
	}
	return v
}

func testMapType(t *testing.T, k kind) {
	t.Helper()
	config := k.declared()
	result := call{verb: "ADD", config: config}.must(t)
	path := localMaps(t, result)[0].Path
	first := pinnedID(t, path, k)
	call{verb: "ADD", config: config}.must(t)
	if second := pinnedID(t, path, k); second != first {
		t.Errorf("the second ADD made map %d of map %d", second, first)
	}
	call{verb: "CHECK", config: newConfig(config, keys{"prevResult": raw(result.stdout)})}.must(t)
	call{verb: "DEL", config: config}.must(t)
	if there(t, path) {
		t.Errorf("%s is there after DEL", path)
	}
}

// pinnedID compares the map pinned at path with its declaration, and returns the
// kernel's ID of it.
func pinnedID(t *testing.T, path string, k kind) ebpf.MapID {
	t.Helper()
	m, err := ebpf.LoadPinnedMap(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	info, err := m.Info()
	if err != nil {
		t.Fatal(err)
	}
	type shape struct {
		Type                ebpf.MapType
		Key, Value, Entries uint32
		Name                string
		Frozen              bool
	}
	want := shape{k.typ, k.key, k.value, k.entries, path[strings.LastIndexByte(path, '/')+1:], k.extra["frozen"] == true}
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case k.typ == ebpf.PerfEventArray:
		want.Entries = uint32(cpus)
	case k.flags&unix.BPF_F_NO_COMMON_LRU != 0:
		want.Entries = (k.entries + uint32(cpus) - 1) / uint32(cpus) * uint32(cpus)
	}
	got := shape{info.Type, info.KeySize, info.ValueSize, info.MaxEntries, info.Name, info.Frozen()}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-declared +got):\n%s", path, diff)
	}
	id, _ := info.ID()
	memory, _ := info.Memlock()
	ours, err := bpffs.ReadMap(path)
	if err != nil || ours.ID != uint32(id) || ours.Memory != memory || ours.Spec.Type != k.name {
		t.Errorf("ReadMap(%s) = %+v, %v; wanted the map %d of type %s with %d bytes", path, ours, err, id, k.name, memory)
	}
	return id
}

func TestSecondAddKeepsContents(t *testing.T) {
	emptyNode(t)
	add := call{verb: "ADD", config: newConfig(typed())}
	path := localMaps(t, add.must(t))[0].Path
	m, err := ebpf.LoadPinnedMap(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	value := []byte("sixteen bytes!!!")
	if err := m.Put(uint32(1), value); err != nil {
		t.Fatal(err)
	}
	add.must(t)
	again, err := ebpf.LoadPinnedMap(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	var got []byte
	if err := again.Lookup(uint32(1), &got); err != nil || string(got) != string(value) {
		t.Errorf("after the second ADD the map holds %q (%v), want %q", got, err, value)
	}
}

func TestMapsAllOrNothing(t *testing.T) {
	good := func(name string) keys {
		return keys{"name": name, "type": "array", "keySize": 4, "valueSize": 4, "maxEntries": 1}
	}
	bad := keys{"name": "e_", "type": "array", "keySize": 4, "valueSize": 4, "maxEntries": 1, "flags": 1 << 17}
	five := keys{"maps": []any{good("a_"), good("b_"), good("c_"), good("d_"), bad}}
	t.Run("new attachment", func(t *testing.T) {
		emptyNode(t)
		e := call{verb: "ADD", config: newConfig(five)}.refused(t, 106)
		for _, want := range []string{"e_", "array, keySize 4, valueSize 4, maxEntries 1, flags 0x20000", "invalid argument"} {
			if !strings.Contains(e.Msg, want) {
				t.Errorf("got the message %q, want one with %q", e.Msg, want)
			}
		}
		if diff := cmp.Diff(left(), tree(t, root)); diff != "" {
			t.Errorf("left after the fifth of five failed (-want +got):\n%s", diff)
		}
	})
	t.Run("attachment that has an ID", func(t *testing.T) {
		emptyNode(t)
		had := localMaps(t, call{verb: "ADD", config: newConfig(oneMap(good("a_")))}.must(t))[0]
		call{verb: "ADD", config: newConfig(five)}.refused(t, 106)
		if got, want := tree(t, root+"/tc/globals"), []string{"---------- /a_" + digits(had.EndpointID)}; !cmp.Equal(got, want) {
			t.Errorf("after the failure there are the pins %v, want %v", got, want)
		}
	})
}

func TestPinOfAnotherShape(t *testing.T) {
	emptyNode(t)
	path := localMaps(t, call{verb: "ADD", config: newConfig(typed())}.must(t))[0].Path
	wider := newConfig(oneMap(keys{"name": "stats_", "type": "array", "keySize": 4, "valueSize": 32, "maxEntries": 2}))
	e := call{verb: "ADD", config: wider}.refused(t, 107)
	for _, want := range []string{path, "valueSize 16", "valueSize 32"} {
		if !strings.Contains(e.Msg, want) {
			t.Errorf("got the message %q, want one with %q", e.Msg, want)
		}
	}
	if !there(t, path) {
		t.Errorf("%s is gone after a refused ADD", path)
	}
	call{verb: "DEL", config: wider}.must(t)
	if there(t, path) {
		t.Errorf("%s is there after DEL", path)
	}
}

func TestPinRemovedBehindOurBack(t *testing.T) {
	emptyNode(t)
	add := call{verb: "ADD", config: newConfig(typed())}
	added := add.must(t)
	path := localMaps(t, added)[0].Path
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	call{verb: "CHECK", config: withResult(typed(), added.stdout)}.refused(t, 105)
	add.must(t)
	if !there(t, path) {
		t.Errorf("ADD did not make %s again", path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	call{verb: "DEL", config: newConfig(typed())}.must(t)
}
