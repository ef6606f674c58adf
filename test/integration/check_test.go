package integration

import (
	"errors"
	"io/fs"
	"os"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/test/internal/node"
)

// typedMaps declares one map that others create and one that ADD creates.
func typedMaps(valueSize int) []keys {
	return []keys{
		{"name": "calls_"},
		{"name": "stats_", "type": "array", "keySize": 4, "valueSize": valueSize, "maxEntries": 1},
	}
}

func TestCheck(t *testing.T) {
	for _, tt := range []struct {
		name     string
		change   func(t *testing.T, p plugin, added []string)
		declared []keys                             // if not as at ADD
		result   func(added, other []string) keys   // if not as ADD returned it
		says     func(added, other []string) string // in the error; nil for success
	}{
		{name: "as added"},
		{
			name: "record gone",
			change: func(t *testing.T, p plugin, _ []string) {
				t.Helper()
				p.Succeed(t, "DEL", conf(nil))
			},
			says: func(_, _ []string) string { return "no endpoint" },
		},
		{
			name: "bpffs gone",
			change: func(t *testing.T, _ plugin, _ []string) {
				t.Helper()
				testns.UnmountAll(t, defaultRoot)
			},
			says: func(_, _ []string) string { return "no endpoint" },
		},
		{
			name:   "a path missing in prevResult",
			result: func(added, _ []string) keys { return resultWith(added[0]) },
			says:   func(added, _ []string) string { return "prevResult lacks the path " + added[1] },
		},
		{
			name:   "paths of another ID",
			result: func(_, other []string) keys { return resultWith(other...) },
			says:   func(_, other []string) string { return "prevResult has the path " + other[0] },
		},
		{
			name:   "paths of another ID beside its own",
			result: func(added, other []string) keys { return resultWith(append(added, other...)...) },
			says:   func(_, other []string) string { return "prevResult has the path " + other[0] },
		},
		{
			name: "created map gone",
			change: func(t *testing.T, _ plugin, added []string) {
				t.Helper()
				testns.Must(t, os.Remove(added[1]))
			},
			says: func(added, _ []string) string { return added[1] },
		},
		{
			name: "a directory instead of the map",
			change: func(t *testing.T, _ plugin, added []string) {
				t.Helper()
				testns.Must(t, os.Remove(added[1]))
				mkdir(t, added[1])
			},
			says: func(added, _ []string) string { return added[1] },
		},
		{
			name:     "map of another shape",
			declared: typedMaps(16),
			says:     func(added, _ []string) string { return added[1] + ": the pin does not match the declared map" },
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newNode(t)
			maps := typedMaps(8)
			other := p.Add(t, conf(keys{"maps": maps}), "CNI_CONTAINERID=other")
			added := p.Add(t, conf(keys{"maps": maps}))
			if tt.change != nil {
				tt.change(t, p, added)
			}
			if tt.declared != nil {
				maps = tt.declared
			}
			prevResult := resultWith(added...)
			if tt.result != nil {
				prevResult = tt.result(added, other)
			}
			checked := conf(keys{"maps": maps, "prevResult": prevResult})
			before := snapshot(t)
			if tt.says == nil {
				p.Succeed(t, "CHECK", checked)
			} else {
				p.Fail(t, 105, []string{tt.says(added, other)}, "CHECK", checked)
			}
			unchanged(t, before)
		})
	}
}

// TestCreatedMap: cilium/ebpf reads back what was declared, and ADD again keeps
// the contents.
func TestCreatedMap(t *testing.T) {
	p := newNode(t)
	typed := conf(keys{"maps": typedMaps(8)})
	path := p.Add(t, typed)[1]
	m, err := ebpf.LoadPinnedMap(path, nil)
	testns.Must(t, err)
	defer m.Close()
	if m.Type() != ebpf.Array || m.KeySize() != 4 || m.ValueSize() != 8 || m.MaxEntries() != 1 {
		t.Errorf("the map at %s: got %v, want an array with keys of 4 bytes and 1 value of 8", path, m)
	}
	testns.Must(t, m.Put(uint32(0), uint64(42)))
	p.Add(t, typed)
	again, err := ebpf.LoadPinnedMap(path, nil)
	testns.Must(t, err)
	defer again.Close()
	var got uint64
	testns.Must(t, again.Lookup(uint32(0), &got))
	if got != 42 {
		t.Errorf("value in the map after ADD again: got %d, want 42", got)
	}
	before := snapshot(t)
	wider := conf(keys{"maps": typedMaps(16)})
	p.Fail(t, 107, []string{path, "valueSize 8", "valueSize 16"}, "ADD", wider)
	unchanged(t, before)
	p.Succeed(t, "DEL", wider)
	node.NothingLeft(t, defaultRoot)
}

// TestRefusedMap: the kernel refuses the second map, and the first is taken back.
func TestRefusedMap(t *testing.T) {
	p := newNode(t)
	refused := keys{"maps": append(typedMaps(8), keys{
		"name": "big_", "type": "hash", "keySize": 4, "valueSize": 1 << 31, "maxEntries": 1,
	})}
	p.Fail(t, 106, []string{"big_", "valueSize 2147483648"}, "ADD", conf(refused))
	isEmpty(t, defaultRoot)
}

// isEmpty wants nothing of ours in the bpffs, not even records: the maps come before
// them.
func isEmpty(t *testing.T, root string) {
	t.Helper()
	for _, name := range []string{"cni", "tc"} {
		if _, err := os.Lstat(root + "/" + name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("left at %s: %s (%v)", root, name, err)
		}
	}
}
