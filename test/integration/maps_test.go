package integration

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
	"github.com/cni-bpffs/cni-bpffs/test/internal/node"
	"github.com/cni-bpffs/cni-bpffs/test/internal/plugintest"
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

// declared declares a map of the kind, and no other.
func (k kind) declared() keys {
	m := keys{"name": "m_", "type": k.name}
	for key, n := range map[string]uint32{"keySize": k.key, "valueSize": k.value, "maxEntries": k.entries, "flags": k.flags} {
		if n != 0 {
			m[key] = n
		}
	}
	maps.Copy(m, k.extra)
	return oneMap(m)
}

// oneMap declares a single map with these keys.
func oneMap(m keys) keys { return keys{"maps": []any{m}} }

// typed declares a map that ADD creates.
func typed() keys {
	return oneMap(keys{"name": "stats_", "type": "array", "keySize": 4, "valueSize": 16, "maxEntries": 2})
}

// TestMapTypes takes a map of each type through the life of a pod.
func TestMapTypes(t *testing.T) {
	missing := 0
	for i, k := range kinds() {
		t.Run(fmt.Sprintf("%d/%s", i, k.name), func(t *testing.T) {
			if !kernelHas(t, k.typ) {
				missing++
				t.Skipf("this kernel has no maps of type %s", k.name)
			}
			testMapType(t, newNode(t), k)
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
	testns.Must(t, err)
	_, err = fmt.Sscanf(string(text), "%d.%d", &v[0], &v[1])
	testns.Must(t, err)
	return v
}

func testMapType(t *testing.T, p plugin, k kind) {
	t.Helper()
	declared := conf(k.declared())
	result := p.Succeed(t, "ADD", declared).Stdout
	path := paths(t, result)[0]
	first := pinnedID(t, path, k)
	p.Add(t, declared)
	if second := pinnedID(t, path, k); second != first {
		t.Errorf("the map after the second ADD: got %d, want %d", second, first)
	}
	p.Succeed(t, "CHECK", conf(k.declared(), keys{"prevResult": json.RawMessage(result)}))
	p.Succeed(t, "DEL", declared)
	if isThere(path) {
		t.Errorf("after DEL: got something at %s, want nothing", path)
	}
}

// pinnedID compares the map pinned at path with its declaration, and returns the
// kernel's ID of it.
func pinnedID(t *testing.T, path string, k kind) ebpf.MapID {
	t.Helper()
	m, err := ebpf.LoadPinnedMap(path, nil)
	testns.Must(t, err)
	defer m.Close()
	info, err := m.Info()
	testns.Must(t, err)
	type shape struct {
		Type                ebpf.MapType
		Key, Value, Entries uint32
		Name                string
		Frozen              bool
	}
	name := strings.TrimSuffix(filepath.Base(path), plugintest.IDOf(path))
	want := shape{k.typ, k.key, k.value, k.entries, name, k.extra["frozen"] == true}
	cpus, err := ebpf.PossibleCPU()
	testns.Must(t, err)
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
	if err != nil || ours.ID != uint32(id) || ours.Memory != memory || fmt.Sprint(ours.Spec.Type) != k.name {
		t.Errorf("ReadMap(%s): got %+v (%v), want the map %d of type %s with %d bytes", path, ours, err, id, k.name, memory)
	}
	return id
}

func TestMapsAllOrNothing(t *testing.T) {
	good := func(name string) keys {
		return keys{"name": name, "type": "array", "keySize": 4, "valueSize": 4, "maxEntries": 1}
	}
	bad := keys{"name": "e_", "type": "array", "keySize": 4, "valueSize": 4, "maxEntries": 1, "flags": 1 << 17}
	five := conf(keys{"maps": []any{good("a_"), good("b_"), good("c_"), good("d_"), bad}})
	t.Run("new attachment", func(t *testing.T) {
		p := newNode(t)
		p.Fail(t, 106, []string{"e_", "array, keySize 4, valueSize 4, maxEntries 1, flags 0x20000", "invalid argument"}, "ADD", five)
		isEmpty(t, defaultRoot)
	})
	t.Run("attachment that has an ID", func(t *testing.T) {
		p := newNode(t)
		had := p.Add(t, conf(oneMap(good("a_"))))[0]
		p.Fail(t, 106, nil, "ADD", five)
		all, err := node.Kinds(defaultRoot)
		testns.Must(t, err)
		if got, want := all.Below(node.Globals), []string{"a_" + plugintest.IDOf(had)}; !cmp.Equal(got, want) {
			t.Errorf("pins after the failure: got %q, want %q", got, want)
		}
	})
}

func TestPinRemovedBehindOurBack(t *testing.T) {
	p := newNode(t)
	result := p.Succeed(t, "ADD", conf(typed())).Stdout
	path := paths(t, result)[0]
	testns.Must(t, os.Remove(path))
	p.Fail(t, 105, nil, "CHECK", conf(typed(), keys{"prevResult": json.RawMessage(result)}))
	p.Add(t, conf(typed()))
	if !isThere(path) {
		t.Errorf("after ADD again: got nothing at %s, want the map", path)
	}
	testns.Must(t, os.Remove(path))
	p.Succeed(t, "DEL", conf(typed()))
}
