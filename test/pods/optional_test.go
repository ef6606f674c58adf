package pods

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
	"github.com/cni-bpffs/cni-bpffs/test/internal/plugintest"
)

const (
	annotations = "io.kubernetes.cri.pod-annotations"
	codePodMaps = 110
)

func able() keys { return keys{annotations: true} }

// offering returns the sandbox in a network in which pods can ask for maps.
func (s sandbox) offering() sandbox {
	optional := func(name, access string) keys {
		return keys{
			"name": name, "type": "hash", "keySize": 4, "valueSize": 8, "maxEntries": 16, "pod": access,
			"optional": keys{"maxEntries": 4096},
		}
	}
	return s.with(keys{"capabilities": able(), "maps": []keys{optional("flows_", "rw"), optional("conns_", "ro")}})
}

// asking returns the sandbox of a pod with the annotation.
func (s sandbox) asking(text string) sandbox {
	return s.with(keys{"runtimeConfig": keys{annotations: keys{"a": "b", "bpffs/maps": text}}})
}

// entriesOf returns the entries of the maps in the result of an ADD, by their names.
func entriesOf(t *testing.T, result string) map[string]uint32 {
	t.Helper()
	paths, err := plugintest.Paths(result)
	testns.Must(t, err)
	all := make(map[string]uint32)
	for _, path := range paths {
		info, err := bpffs.ReadMap(path)
		testns.Must(t, err)
		name := filepath.Base(path)
		all[name[:strings.LastIndex(name, "_")+1]] = info.Spec.MaxEntries
	}
	return all
}

// shown returns the names of the maps that the pod sees.
func (s sandbox) shown(t *testing.T) (all []string) {
	t.Helper()
	for _, point := range mountsBelow(t, s.at("")) {
		all = append(all, names(t, point)...)
	}
	return all
}

// TestOptional: a pod has the maps that its annotation names, as large as it says, and
// CHECK, DEL and GC know it, also without the annotation.
func TestOptional(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       map[string]uint32
		shown      []string
	}{
		{"no map", "", map[string]uint32{}, nil},
		{"one map", "flows_", map[string]uint32{"flows_": 16}, []string{"flows_"}},
		{"one map to read", "conns_=2", map[string]uint32{"conns_": 2}, []string{"conns_"}},
		{"one map, as large as can be", "flows_=4096", map[string]uint32{"flows_": 4096}, []string{"flows_"}},
		{"two maps", "flows_=32,conns_", map[string]uint32{"flows_": 32, "conns_": 16}, []string{"conns_", "flows_"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSandbox(t).offering()
			remove := map[bool]func(*testing.T){true: s.del, false: s.gc}[len(tt.want)%2 == 0]
			result := s.plugin.Succeed(t, "ADD", s.asking(tt.text).conf(nil), s.env()...).Stdout
			if diff := cmp.Diff(tt.want, entriesOf(t, result)); diff != "" {
				t.Errorf("the maps in the result (-want +got):\n%s", diff)
			}
			if got := s.shown(t); !slices.Equal(got, tt.shown) {
				t.Errorf("the pod sees %q, want %q", got, tt.shown)
			}
			for _, as := range []sandbox{s, s.asking(tt.text), s.asking("flows_=7"), s.asking("x")} {
				s.plugin.Succeed(t, "CHECK", as.withResult(result).conf(nil), s.env()...)
			}
			paths, err := plugintest.Paths(result)
			testns.Must(t, err)
			for _, path := range slices.Backward(paths) {
				testns.Must(t, os.Remove(path))
				s.withResult(result).fail(t, 105, "CHECK", path)
			}
			remove(t)
			s.wantNothing(t)
		})
	}
}

// TestOptionalUnasked: a pod without the annotation has the result of the plugins
// before, also where the runtime sends no annotations, which is a warning.
func TestOptionalUnasked(t *testing.T) {
	for _, tt := range []struct {
		name    string
		runtime any
		warned  bool
	}{
		{"nothing from the runtime", nil, true},
		{"something else from the runtime", keys{"portMappings": []keys{}}, true},
		{"a pod without annotations", keys{annotations: nil}, false},
		{"a pod with other annotations", keys{annotations: keys{"bpffs": "flows_", "BPFFS/maps": "flows_"}}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSandbox(t).offering().with(keys{"runtimeConfig": tt.runtime})
			a := s.plugin.Succeed(t, "ADD", s.conf(nil), s.env()...)
			if got := entriesOf(t, a.Stdout); len(got) > 0 {
				t.Errorf("a pod that did not ask has the maps %v", got)
			}
			if points := mountsBelow(t, s.volume()); points != nil {
				t.Errorf("a pod that did not ask sees %q", points)
			}
			if warned := strings.Contains(a.Stderr, "annotations"); warned != tt.warned {
				t.Errorf("got the warning %q, want one: %v", a.Stderr, tt.warned)
			}
			s.del(t)
			s.wantNothing(t)
		})
	}
}

// TestOptionalRefused: what a pod cannot have is an error that says what it can have,
// and nothing is made.
func TestOptionalRefused(t *testing.T) {
	for _, tt := range []struct{ name, text, says string }{
		{"more than the limit", "flows_=4097", "more entries than allowed"},
		{"none", "flows_=0", "at least 1"},
		{"no such map", "policy_=1", "no such optional map"},
		{"twice", "flows_,flows_=1", "twice"},
		{"a type of its own", "flows_=hash", "a whole number"},
		{"endless", strings.Repeat("flows_=1,", 100_000), "the limit is 4096"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSandbox(t).offering().asking(tt.text)
			s.fail(t, codePodMaps, "ADD", "annotation bpffs/maps", tt.says, "flows_ (at most 4096)")
			s.wantNothing(t)
			s.del(t)
			s.wantNothing(t)
		})
	}
}

// TestOptionalAgain: an ADD with another annotation is one with other declarations.
func TestOptionalAgain(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		code       uint
		want       map[string]uint32
	}{
		{"the same", "flows_=32", 0, map[string]uint32{"flows_": 32}},
		{"one more", "conns_,flows_=32", 0, map[string]uint32{"flows_": 32, "conns_": 16}},
		{"none", "", 0, map[string]uint32{}},
		{"another size", "flows_=33", 107, nil},
		{"the map's own size", "flows_", 107, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSandbox(t).offering().asking("flows_=32")
			s.plugin.Succeed(t, "ADD", s.conf(nil), s.env()...)
			if again := s.asking(tt.text); tt.code != 0 {
				again.fail(t, tt.code, "ADD", "flows_")
			} else if got := entriesOf(t, s.plugin.Succeed(t, "ADD", again.conf(nil), s.env()...).Stdout); !cmp.Equal(got, tt.want) {
				t.Errorf("the second ADD has the maps %v, want %v", got, tt.want)
			}
			s.del(t)
			s.wantNothing(t)
		})
	}
}

// TestOptionalStatus: STATUS and ADD refuse optional maps that no pod can have.
func TestOptionalStatus(t *testing.T) {
	const tooLarge = 1 << 31 // entries of 1 MiB
	large := func(own, limit uint32) []keys {
		return []keys{{
			"name": "flows_", "type": "array", "keySize": 4, "valueSize": 1 << 20, "maxEntries": own,
			"optional": keys{"maxEntries": limit},
		}}
	}
	for _, tt := range []struct {
		name string
		keys keys
		code uint
		says string
	}{
		{"a limit that the node has", keys{"maps": large(1, 2)}, 0, ""},
		{"a limit beyond the node's memory", keys{"maps": large(1, tooLarge)}, 50, "flows_"},
		{"no capability", keys{"capabilities": nil}, 7, annotations},
		{"another capability", keys{"capabilities": keys{"portMappings": true}}, 7, annotations},
		{"the capability switched off", keys{"capabilities": keys{annotations: false}}, 7, annotations},
		{"a limit below the map's own", keys{"maps": large(2, 1)}, 7, "less than the map's own maxEntries"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSandbox(t).offering().with(tt.keys)
			switch tt.code {
			case 0:
				s.plugin.Succeed(t, "STATUS", s.conf(nil))
			case 7:
				s.fail(t, tt.code, "ADD", tt.says)
				fallthrough
			default:
				s.fail(t, tt.code, "STATUS", tt.says)
			}
			s.wantNothing(t)
		})
	}
}

// TestOptionalOfOthers: maps for everybody are beside the optional ones as before.
func TestOptionalOfOthers(t *testing.T) {
	for _, text := range []string{"", "flows_", "flows_=64"} {
		t.Run("asking for "+text, func(t *testing.T) {
			s := newSandbox(t)
			optional := keys{
				"name": "flows_", "type": "hash", "keySize": 4, "valueSize": 8, "maxEntries": 16,
				"optional": keys{"maxEntries": 64},
			}
			s = s.with(keys{"capabilities": able(), "maps": append(shows(), optional)}).asking(text)
			result := s.add(t)
			if _, has := entriesOf(t, result)["flows_"]; has != (text != "") {
				t.Errorf("has the optional map: %v", has)
			}
			s.plugin.Succeed(t, "CHECK", s.withResult(result).conf(nil), s.env()...)
			s.del(t)
			s.wantNothing(t)
		})
	}
}
