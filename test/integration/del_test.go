package integration

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/test/internal/node"
)

// addPinned adds an attachment and puts something at each path, as a plugin that
// comes later would.
func (p plugin) addPinned(t *testing.T, conf string, env ...string) []string {
	t.Helper()
	added := p.Add(t, conf, env...)
	for _, path := range added {
		mkdir(t, path+"/inside")
	}
	return added
}

func TestAddTwice(t *testing.T) {
	p := newNode(t)
	first := p.Succeed(t, "ADD", conf(nil))
	second := p.Succeed(t, "ADD", conf(nil))
	if first != second {
		t.Errorf("ADD again: got %+v, want the same as before: %+v", second, first)
	}
	own := []byte(first.Stdout)
	if third := p.Succeed(t, "ADD", conf(keys{"prevResult": json.RawMessage(own)})); third != first {
		t.Errorf("ADD with the own result: got %+v, want the same as before: %+v", third, first)
	}
}

func TestDel(t *testing.T) {
	invalid := json.RawMessage(`[{"name":"a/b","unknown":1},7]`)
	for _, tt := range []struct {
		name string
		more keys
		env  string
	}{
		{"as added", nil, ""},
		{"without prevResult", keys{"prevResult": nil}, ""},
		{"with an empty CNI_NETNS", nil, "CNI_NETNS="},
		{"as containerd at Remove", keys{"prevResult": nil}, "CNI_NETNS="},
		{"with other maps", keys{"maps": []keys{{"name": "other_"}}}, ""},
		{"without maps", keys{"maps": nil}, ""},
		{"with another prefix", keys{"mapPrefix": "other/place"}, ""},
		{"with a bpfRoot", keys{"bpfRoot": customRoot}, ""},
		{"with another fallback", keys{"bpfFallback": customRoot}, ""},
		{"with another cniVersion", keys{"cniVersion": "0.4.0"}, ""},
		{"with invalid maps", keys{"maps": invalid}, ""},
		{"with maps of the wrong type", keys{"maps": 7}, ""},
		{"with an invalid prefix", keys{"mapPrefix": "../x"}, ""},
		{"with a relative bpfRoot", keys{"bpfRoot": "x"}, ""},
		{"with a bpfRoot of the wrong type", keys{"bpfRoot": 7}, ""},
		{"with an invalid prevResult", keys{"prevResult": "x"}, ""},
		{"with unknown keys", keys{"x": 1}, "CNI_ARGS=x=y"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newNode(t)
			before := snapshot(t)
			p.Succeed(t, "DEL", conf(tt.more), tt.env)
			unchanged(t, before)
			p.addPinned(t, conf(nil))
			p.Succeed(t, "DEL", conf(tt.more), tt.env)
			node.NothingLeft(t, defaultRoot)
			before = snapshot(t)
			p.Succeed(t, "DEL", conf(tt.more), tt.env)
			unchanged(t, before)
		})
	}
}

// TestDelElsewhere: whatever the configuration said at ADD, DEL finds it.
func TestDelElsewhere(t *testing.T) {
	for _, tt := range []struct {
		name       string
		atAdd      keys
		root       string
		foreignDef bool // another file system at the default
		atDel      keys
	}{
		{"added with a bpfRoot, still there", keys{"bpfRoot": customRoot}, customRoot, false, keys{"bpfRoot": customRoot, "mapPrefix": "x"}},
		{"added with the fallback as bpfRoot", keys{"bpfRoot": fallback}, fallback, false, nil},
		{"added with the default as bpfRoot", keys{"bpfRoot": defaultRoot}, defaultRoot, false, nil},
		{"added at the fallback", nil, fallback, true, keys{"bpfRoot": customRoot}},
		{"added with a prefix", keys{"mapPrefix": "some/other/place"}, defaultRoot, false, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newNode(t)
			if tt.foreignDef {
				testns.Mount(t, "tmpfs", defaultRoot, "")
			}
			added := p.addPinned(t, conf(tt.atAdd))
			if want := tt.root + "/"; !strings.HasPrefix(added[0], want) {
				t.Fatalf("ADD: got the path %s, want one below %s", added[0], want)
			}
			p.Succeed(t, "DEL", conf(tt.atDel))
			pins, err := filepath.Glob(filepath.Dir(added[0]) + "/*")
			testns.Must(t, err)
			records, err := filepath.Glob(tt.root + "/cni/*/*")
			testns.Must(t, err)
			if len(pins)+len(records) > 0 {
				t.Errorf("after DEL: got %q and %q, want nothing", pins, records)
			}
		})
	}
}

// TestDelImpossibleRoot: ADD cannot have used such a root.
func TestDelImpossibleRoot(t *testing.T) {
	for name, root := range map[string]string{
		"below a file":            customDir + "/file/root",
		"below a link to itself":  customDir + "/loop/root",
		"name of 300 bytes":       customDir + "/" + strings.Repeat("x", 300),
		"zero byte":               customDir + "/a\x00b",
		"below a link to nothing": customDir + "/dangling/root",
	} {
		t.Run(name, func(t *testing.T) {
			p := newNode(t)
			testns.Must(t, os.WriteFile(customDir+"/file", nil, 0o600))
			testns.Must(t, os.Symlink("loop", customDir+"/loop"))
			testns.Must(t, os.Symlink("none", customDir+"/dangling"))
			p.addPinned(t, conf(nil))
			if a := p.Call(t, "ADD", conf(keys{"bpfRoot": root})); a.Status == 0 {
				t.Errorf("ADD with the root %q: got %+v, want an error", root, a)
			}
			p.Succeed(t, "DEL", conf(keys{"bpfRoot": root}))
			node.NothingLeft(t, defaultRoot)
		})
	}
}
