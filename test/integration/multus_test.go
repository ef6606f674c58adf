package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/test/internal/node"
	"github.com/cni-bpffs/cni-bpffs/test/internal/trace"
)

// withoutOurKeys returns a configuration as thin Multus sends it with DEL: with the
// result, if there is one, and without the plugin's own keys.
func withoutOurKeys(result string, more ...keys) string {
	all := keys{"maps": nil, "prevResult": nil}
	if result != "" {
		all["prevResult"] = json.RawMessage(result)
	}
	return conf(append([]keys{all}, more...)...)
}

// TestDelWithoutOurKeys: the paths in prevResult tell in which bpffs the endpoint is.
func TestDelWithoutOurKeys(t *testing.T) {
	typed := json.RawMessage(`[{"name":"a_","type":"array","keySize":4,"valueSize":4,"maxEntries":1},{"name":"b_"}]`)
	link := customDir + "/link"
	for _, tt := range []struct {
		name  string
		atAdd keys
		atDel keys
		env   string
		edit  func(result string) string
	}{
		{"with a root", keys{"bpfRoot": customRoot}, nil, "", nil},
		{"with a root and no namespace", keys{"bpfRoot": customRoot}, nil, "CNI_NETNS=", nil},
		{"with a root and a prefix", keys{"bpfRoot": customRoot, "mapPrefix": "a/b/c"}, nil, "", nil},
		{"with a root and maps with a type", keys{"bpfRoot": customRoot, "maps": typed}, nil, "", nil},
		{"with a root that is a link", keys{"bpfRoot": link}, nil, "", nil},
		{"with a root that is a bpffs on a bpffs", keys{"bpfRoot": customRoot + "/inner"}, nil, "", nil},
		{"in version 0.4.0", keys{"bpfRoot": customRoot, "cniVersion": "0.4.0"}, keys{"cniVersion": "0.4.0"}, "", nil},
		{"in version 0.4.0 with a result of 1.0.0", keys{"bpfRoot": customRoot}, keys{"cniVersion": "0.4.0"}, "", nil},
		{"with addresses that cannot be read", keys{"bpfRoot": customRoot}, nil, "", func(result string) string {
			return strings.Replace(result, `"interfaces"`, `"ips":[7],"routes":"x","interfaces"`, 1)
		}},
		{"with an interface that cannot be read", keys{"bpfRoot": customRoot}, nil, "", func(result string) string {
			return strings.Replace(result, `"interfaces":[`, `"interfaces":[null,7,{"name":[]},`, 1)
		}},
		{"behind 100 directories of others", keys{"bpfRoot": customRoot}, nil, "", behind(100)},
		{"behind 101 directories of others", keys{"bpfRoot": customRoot}, nil, "", behind(101)},
		{"behind 20,000 directories of others", keys{"bpfRoot": customRoot}, nil, "", behind(20_000)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newNode(t)
			mkdir(t, customRoot)
			testns.Must(t, os.Symlink(customRoot, link))
			if tt.atAdd["bpfRoot"] == customRoot+"/inner" {
				testns.Mount(t, "bpf", customRoot, "mode=0700")
			}
			a := p.Succeed(t, "ADD", conf(tt.atAdd))
			for _, path := range paths(t, a.Stdout) {
				if tt.atAdd["maps"] == nil {
					mkdir(t, path+"/inside")
				}
			}
			result := a.Stdout
			if tt.edit != nil {
				result = tt.edit(result)
			}
			p.Succeed(t, "DEL", withoutOurKeys(result, tt.atDel), tt.env)
			dir := filepath.Dir(paths(t, a.Stdout)[0])
			pins, err := os.ReadDir(dir)
			records, _ := filepath.Glob(tt.atAdd["bpfRoot"].(string) + "/cni/*/*")
			if err != nil || len(pins) > 0 || len(records) > 0 {
				t.Errorf("after DEL: got %v (%v) in %s and the records %q, want nothing", pins, err, dir, records)
			}
		})
	}
}

// TestDelWithoutOurKeysAndResult: nothing tells DEL where the endpoint is. It
// succeeds, and one that knows the root removes what stayed.
func TestDelWithoutOurKeysAndResult(t *testing.T) {
	for name, more := range map[string]keys{
		"no result":           nil,
		"a result without us": {"prevResult": json.RawMessage(`{"interfaces":[{"name":"eth0"}]}`)},
		"a result of nothing": {"prevResult": json.RawMessage(`"x"`)},
	} {
		t.Run(name, func(t *testing.T) {
			p := newNode(t)
			p.addPinned(t, conf(keys{"bpfRoot": customRoot}))
			before := snapshot(t)
			p.Succeed(t, "DEL", withoutOurKeys("", more))
			unchanged(t, before)
			p.Succeed(t, "DEL", conf(keys{"bpfRoot": customRoot}))
			node.NothingLeft(t, customRoot)
		})
	}
}

// behind puts paths in n directories of others before ours.
func behind(n int) func(result string) string {
	return func(result string) string {
		var others strings.Builder
		for i := range n {
			fmt.Fprintf(&others, `{"name":"/run/others/%d/calls_00001"},`, i)
		}
		return strings.Replace(result, `"interfaces":[`, `"interfaces":[`+others.String(), 1)
	}
}

// TestDelWithoutOurKeysTrustsNoPath: a path in prevResult is a hint. What is there
// and is not recorded for the attachment stays, and fails no DEL.
func TestDelWithoutOurKeysTrustsNoPath(t *testing.T) {
	other := func(t *testing.T, p plugin) string {
		t.Helper()
		return p.addPinned(t, conf(keys{"bpfRoot": customRoot}), "CNI_CONTAINERID=other")[0]
	}
	foreign := func(prepare func(t *testing.T)) func(*testing.T, plugin) string {
		return func(t *testing.T, _ plugin) string {
			t.Helper()
			mkdir(t, customRoot)
			testns.Mount(t, "bpf", customRoot, "mode=0700")
			mkdir(t, customRoot+"/tc/globals/calls_00001")
			prepare(t)
			return customRoot + "/tc/globals/calls_00001"
		}
	}
	at := func(path string) func(*testing.T, plugin) string {
		return func(*testing.T, plugin) string { return path }
	}
	for name, prepare := range map[string]func(*testing.T, plugin) string{
		"of another attachment": other,
		"without records":       foreign(func(*testing.T) {}),
		"with records of another layout": foreign(func(t *testing.T) {
			t.Helper()
			mkdir(t, customRoot+"/cni/other")
		}),
		"with a directory of another user": foreign(func(t *testing.T) {
			t.Helper()
			mkdir(t, customRoot+"/cni")
			testns.Chown(t, customRoot+"/cni", nobody)
		}),
		"with something at its records": foreign(func(t *testing.T) {
			t.Helper()
			testns.Must(t, os.Symlink("/", customRoot+"/cni"))
		}),
		"on another file system": at(customDir + "/calls_00001"),
		"in a missing directory": at(customDir + "/none/calls_00001"),
		"below the root of all":  at("/calls_00001"),
		"upwards":                at(customDir + "/../custom/calls_00001"),
		"in /proc":               at("/proc/self/cwd/calls_00001"),
	} {
		t.Run(name, func(t *testing.T) {
			p := newNode(t)
			path := prepare(t, p)
			before := snapshot(t)
			p.Succeed(t, "DEL", withoutOurKeys(`{"interfaces":[{"name":"`+path+`"}]}`))
			unchanged(t, before)
		})
	}
}

// tables returns how often a call opens a table of mounts.
func (p plugin) tables(t *testing.T, verb, conf string) int {
	t.Helper()
	opened, a, err := trace.Opens(p.Command(verb, conf))
	if err != nil || a.Status != 0 || len(opened) == 0 {
		t.Fatalf("%s: got %+v (%v), having opened %q, want success", verb, a, err, opened)
	}
	return len(slices.DeleteFunc(opened, func(path string) bool {
		return !slices.Contains([]string{"mountinfo", "mounts", "mountstats"}, filepath.Base(path))
	}))
}

// TestDelReadsNoMountTable: on a node with many mounts that takes long. The Go
// runtime reads one when it starts, until it finds a cgroup.
func TestDelReadsNoMountTable(t *testing.T) {
	for name, prepare := range map[string]func(t *testing.T, p plugin) string{
		"nothing is mounted": func(*testing.T, plugin) string { return conf() },
		"an endpoint": func(t *testing.T, p plugin) string {
			t.Helper()
			p.addPinned(t, conf())
			return conf()
		},
		"directories at all roots": func(t *testing.T, _ plugin) string {
			t.Helper()
			mkdir(t, customRoot)
			mkdir(t, fallback)
			return conf(keys{"bpfRoot": customRoot})
		},
		"a root only in prevResult": func(t *testing.T, p plugin) string {
			t.Helper()
			return withoutOurKeys(p.Succeed(t, "ADD", conf(keys{"bpfRoot": customRoot})).Stdout)
		},
		"another file system at the default": func(t *testing.T, p plugin) string {
			t.Helper()
			testns.Mount(t, "tmpfs", defaultRoot, "")
			p.addPinned(t, conf())
			return conf()
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newNode(t)
			c := prepare(t, p)
			if got, want := p.tables(t, "DEL", c), p.tables(t, "VERSION", ""); got != want {
				t.Errorf("tables of mounts that DEL opens: got %d, want those of the Go runtime, %d", got, want)
			}
		})
	}
}
