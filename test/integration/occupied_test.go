package integration

import (
	"os"
	"testing"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/test/internal/node"
	"github.com/cni-bpffs/cni-bpffs/test/internal/plugintest"
)

func checkForeign(t *testing.T, path, after string) {
	t.Helper()
	if same, err := node.Precious(path); err != nil || !same {
		t.Errorf("the foreign map %s is the same after %s: got %v (%v), want true", path, after, same, err)
	}
}

// TestOccupied: an ID with something of somebody else at one of its paths is
// passed over, and that stays.
func TestOccupied(t *testing.T) {
	for i, name := range []string{"the first path", "the second path"} {
		t.Run(name, func(t *testing.T) {
			p := newNode(t)
			usual := p.Add(t, conf(nil))
			p.Succeed(t, "DEL", conf(nil))
			testns.Must(t, node.Pin(usual[i]))
			got := p.addPinned(t, conf(nil))
			if len(got) != 2 || plugintest.IDOf(got[0]) == plugintest.IDOf(usual[0]) || plugintest.IDOf(got[0]) != plugintest.IDOf(got[1]) {
				t.Errorf("paths of the attachment: got %q, want two of another ID than in %q", got, usual)
			}
			p.Succeed(t, "CHECK", conf(keys{"prevResult": resultWith(got...)}))
			p.Succeed(t, "DEL", conf(nil))
			checkForeign(t, usual[i], "DEL")
			p.Succeed(t, "GC", withValid(conf(nil), "[]"))
			checkForeign(t, usual[i], "GC")
			testns.Must(t, os.Remove(usual[i]))
			node.NothingLeft(t, defaultRoot)
		})
	}
}

// TestOccupiedLater: a declaration is added whose path another has.
func TestOccupiedLater(t *testing.T) {
	p := newNode(t)
	first := p.addPinned(t, conf(nil))
	foreign := defaultRoot + "/tc/globals/new_" + plugintest.IDOf(first[0])
	testns.Must(t, node.Pin(foreign))
	before := snapshot(t)
	more := conf(keys{"maps": []keys{{"name": "calls_"}, {"name": "more_"}, {"name": "new_"}}})
	p.Fail(t, 104, []string{foreign}, "ADD", more)
	unchanged(t, before)
	p.Succeed(t, "DEL", more)
	checkForeign(t, foreign, "DEL")
}

// TestOccupiedTyped: a map that is to be created does not replace another one.
func TestOccupiedTyped(t *testing.T) {
	p := newNode(t)
	usual := p.Add(t, conf(nil))
	p.Succeed(t, "DEL", conf(nil))
	testns.Must(t, node.Pin(usual[1]))
	typed := conf(keys{"maps": []keys{
		{"name": "calls_"}, {"name": "policy_", "type": "array", "keySize": 4, "valueSize": 4, "maxEntries": 1},
	}})
	if got := p.Add(t, typed); plugintest.IDOf(got[0]) == plugintest.IDOf(usual[0]) {
		t.Errorf("paths of the attachment: got %q, want another ID than in %q", got, usual)
	}
	p.Succeed(t, "DEL", typed)
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
