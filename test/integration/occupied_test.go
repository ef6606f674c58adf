package integration

import (
	"os"
	"testing"

	"github.com/cilium/ebpf"
)

// pinForeign pins a map with the value 42 at the path, which nobody has declared.
func pinForeign(t *testing.T, path string) {
	t.Helper()
	m, err := ebpf.NewMap(&ebpf.MapSpec{Name: "foreign", Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1})
	must(t, err)
	defer m.Close()
	must(t, m.Put(uint32(0), uint32(42)))
	must(t, m.Pin(path))
}

func checkForeign(t *testing.T, path, after string) {
	t.Helper()
	var value uint32
	m, err := ebpf.LoadPinnedMap(path, nil)
	if err == nil {
		defer m.Close()
		err = m.Lookup(uint32(0), &value)
	}
	if err != nil || value != 42 {
		t.Errorf("the foreign map %s after %s: got the value %d (%v), want 42", path, after, value, err)
	}
}

// TestOccupied: an ID with something of somebody else at one of its paths is
// passed over, and that stays.
func TestOccupied(t *testing.T) {
	for i, name := range []string{"the first path", "the second path"} {
		t.Run(name, func(t *testing.T) {
			p := newNode(t)
			usual := p.add(t, conf(nil))
			p.succeed(t, "DEL", conf(nil))
			pinForeign(t, usual[i])
			got := p.addPinned(t, conf(nil))
			if len(got) != 2 || idOf(got[0]) == idOf(usual[0]) || idOf(got[0]) != idOf(got[1]) {
				t.Errorf("paths of the attachment: got %q, want two of another ID than in %q", got, usual)
			}
			p.succeed(t, "CHECK", conf(keys{"prevResult": resultWith(got...)}))
			p.succeed(t, "DEL", conf(nil))
			checkForeign(t, usual[i], "DEL")
			p.succeed(t, "GC", withValid(conf(nil), "[]"))
			checkForeign(t, usual[i], "GC")
			must(t, os.Remove(usual[i]))
			nothingLeft(t, defaultRoot)
		})
	}
}

// TestOccupiedLater: a declaration is added whose path another has.
func TestOccupiedLater(t *testing.T) {
	p := newNode(t)
	first := p.addPinned(t, conf(nil))
	foreign := defaultRoot + "/tc/globals/new_" + idOf(first[0])
	pinForeign(t, foreign)
	before := snapshot(t)
	more := conf(keys{"maps": []keys{{"name": "calls_"}, {"name": "more_"}, {"name": "new_"}}})
	p.fail(t, 104, []string{foreign}, "ADD", more)
	unchanged(t, before)
	p.succeed(t, "DEL", more)
	checkForeign(t, foreign, "DEL")
}

// TestOccupiedTyped: a map that is to be created does not replace another one.
func TestOccupiedTyped(t *testing.T) {
	p := newNode(t)
	usual := p.add(t, conf(nil))
	p.succeed(t, "DEL", conf(nil))
	pinForeign(t, usual[1])
	typed := conf(keys{"maps": []keys{
		{"name": "calls_"}, {"name": "policy_", "type": "array", "keySize": 4, "valueSize": 4, "maxEntries": 1},
	}})
	if got := p.add(t, typed); idOf(got[0]) == idOf(usual[0]) {
		t.Errorf("paths of the attachment: got %q, want another ID than in %q", got, usual)
	}
	p.succeed(t, "DEL", typed)
	checkForeign(t, usual[1], "DEL")
}

// resultWith returns a prevResult with the paths.
func resultWith(paths ...string) keys {
	interfaces := []keys{{"name": "eth0", "sandbox": "/run/netns/pod"}}
	for _, path := range paths {
		interfaces = append(interfaces, keys{"name": path})
	}
	return keys{"cniVersion": "1.1.0", "interfaces": interfaces}
}
