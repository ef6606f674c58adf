package byhand

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// digits returns an endpoint ID as names have it.
func digits(id int) string { return fmt.Sprintf("%05d", id) }

// oneMap declares a single map with these keys.
func oneMap(m keys) keys { return keys{"maps": []any{m}} }

func TestBadInput(t *testing.T) {
	long := strings.Repeat("x", 300)
	for _, row := range []struct {
		name string
		call call
		code uint
		says []string // the key and the value
	}{
		{"broken JSON", call{stdin: `{"cniVersion": "1.1.0", `}, 6, []string{"unexpected end of JSON"}},
		{"no JSON at all", call{stdin: " "}, 6, nil},
		{"an array", call{stdin: `[]`}, 6, []string{"array"}},
		{"null", call{stdin: `null`}, 7, []string{"name"}},
		{"no name", call{config: newConfig(keys{"name": nil})}, 7, []string{"name", "missing"}},
		{"bad name", call{config: newConfig(keys{"name": "a/b"})}, 7, []string{"name", "a/b"}},
		{"name of 300 bytes", call{config: newConfig(keys{"name": long})}, 4, []string{"network name", "xxx"}},
		{"unknown key in maps", call{config: newConfig(oneMap(keys{"name": "a", "size": 4}))}, 7, []string{"maps[0].size", "4"}},
		{"key in the wrong case", call{config: newConfig(oneMap(keys{"Name": "a"}))}, 7, []string{"maps[0].Name", `"a"`}},
		{"maps of the wrong type", call{config: newConfig(keys{"maps": "all"})}, 7, []string{"maps", `"all"`}},
		{"a map of the wrong type", call{config: newConfig(keys{"maps": []any{7}})}, 7, []string{"maps[0]", "7"}},
		{"mapPrefix upwards", call{config: newConfig(keys{"mapPrefix": "../x"})}, 7, []string{"mapPrefix", `"../x"`}},
		{"mapPrefix absolute", call{config: newConfig(keys{"mapPrefix": "/x"})}, 7, []string{"mapPrefix", `"/x"`}},
		{"mapPrefix in the records", call{config: newConfig(keys{"mapPrefix": "cni/x"})}, 7, []string{"mapPrefix", `"cni/x"`}},
		{"mapPrefix of the wrong type", call{config: newConfig(keys{"mapPrefix": 1})}, 7, []string{"mapPrefix", "1"}},
		{"bpfRoot relative", call{config: newConfig(keys{"bpfRoot": "run"})}, 7, []string{"bpfRoot", `"run"`}},
		{"bpfFallback relative", call{config: newConfig(keys{"bpfFallback": "run"})}, 7, []string{"bpfFallback", `"run"`}},
		{"map without a name", call{config: newConfig(oneMap(keys{}))}, 7, []string{"maps[0].name", "missing"}},
		{"map name with a dot", call{config: newConfig(oneMap(keys{"name": "a.b"}))}, 7, []string{"maps[0].name", `"a.b"`}},
		{"map name with a slash", call{config: newConfig(oneMap(keys{"name": "a/b"}))}, 7, []string{"maps[0].name", `"a/b"`}},
		{"map name of 300 bytes", call{config: newConfig(oneMap(keys{"name": long}))}, 7, []string{"maps[0].name", "xxx", "300 bytes"}},
		{"a map twice", call{config: newConfig(keys{"maps": []any{keys{"name": "a"}, keys{"name": "a"}}})}, 7, []string{"maps[1].name", `"a"`, "twice"}},
		{"unknown map type", call{config: newConfig(oneMap(keys{"name": "a", "type": "tree"}))}, 7, []string{"maps[0].type", `"tree"`}},
		{"no prevResult", call{config: newConfig(keys{"prevResult": nil})}, 7, []string{"prevResult", "missing"}},
		{"prevResult null", call{config: newConfig(keys{"prevResult": newNull()})}, 7, []string{"prevResult", "null"}},
		{"prevResult of the wrong type", call{config: newConfig(keys{"prevResult": "x"})}, 7, []string{"prevResult", `"x"`}},
		{"cniVersion 0.2.0", call{config: newConfig(keys{"cniVersion": "0.2.0"})}, 1, []string{"cniVersion", "0.2.0"}},
		{"cniVersion 9.9.9", call{config: newConfig(keys{"cniVersion": "9.9.9"})}, 1, []string{"cniVersion", "9.9.9"}},
		{"no cniVersion", call{config: newConfig(keys{"cniVersion": nil})}, 1, []string{"cniVersion"}},
		{"container ID of 300 bytes", call{container: long, config: newConfig()}, 4, []string{"CNI_CONTAINERID", "xxx"}},
		{"container ID upwards", call{container: "../x", config: newConfig()}, 4, []string{"CNI_CONTAINERID", "../x"}},
		{"interface name with a slash", call{ifName: "a/b", config: newConfig()}, 4, []string{"CNI_IFNAME", "a/b"}},
		{"no container ID", call{config: newConfig(), env: []string{"CNI_CONTAINERID="}}, 4, []string{"CNI_CONTAINERID"}},
		{"own netns", call{netns: "/proc/self/ns/net", config: newConfig()}, 8, []string{"CNI_NETNS", "/proc/self/ns/net"}},
		{"a file as root", call{config: newConfig(keys{"bpfRoot": plugin})}, 100, []string{plugin}},
		{"unknown command", call{verb: "LIST", config: newConfig()}, 4, []string{"CNI_COMMAND", "LIST"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			emptyNode(t)
			before := mountTable(t)
			row.call.verb = either(row.call.verb, "ADD")
			e := row.call.refused(t, row.code)
			for _, want := range row.says {
				if !strings.Contains(e.Msg, want) {
					t.Errorf("got the message %q, want one with %q", e.Msg, want)
				}
			}
			if mountTable(t) != before || len(tree(t, root)) != 0 {
				t.Errorf("a refused ADD left its mark: %v, mount table changed: %v", tree(t, root), mountTable(t) != before)
			}
		})
	}
}

func TestBadRecordsDirectory(t *testing.T) {
	for _, row := range []struct {
		name    string
		prepare func(t testing.TB)
		code    uint
		says    string
	}{
		{"of another user", func(t testing.TB) {
			t.Helper()
			mkdir(t, root+"/cni")
			testns.Chown(t, root+"/cni", 65534)
		}, 101, "belongs to user 65534"},
		{"a link", func(t testing.TB) {
			t.Helper()
			mkdir(t, root+"/elsewhere")
			if err := os.Symlink("elsewhere", root+"/cni"); err != nil {
				t.Fatal(err)
			}
		}, 101, "not a directory"},
		{"of a later version", func(t testing.TB) { t.Helper(); mkdir(t, root+"/cni/layout-2") }, 102, "layout-2"},
		{"map directory of another user", func(t testing.TB) {
			t.Helper()
			mkdir(t, root+"/tc/globals")
			testns.Chown(t, root+"/tc/globals", 65534)
		}, 101, "tc/globals belongs to user 65534"},
	} {
		t.Run(row.name, func(t *testing.T) {
			emptyNode(t)
			testns.Mount(t, "bpf", root, "mode=1777")
			row.prepare(t)
			before := tree(t, root)
			if e := (call{verb: "ADD", config: newConfig()}).refused(t, row.code); !strings.Contains(e.Msg, row.says) {
				t.Errorf("got the message %q, want one with %q", e.Msg, row.says)
			}
			if diff := cmp.Diff(before, tree(t, root)); diff != "" {
				t.Errorf("a refused ADD changed the bpffs (-before +after):\n%s", diff)
			}
		})
	}
}

func TestUnknownTopLevelKeyIsAWarning(t *testing.T) {
	emptyNode(t)
	a := call{verb: "ADD", config: newConfig(keys{"bpfroot": "/x", "cni.dev/new": 1})}.must(t)
	if !strings.Contains(a.stderr, `"bpfroot"`) || strings.Contains(a.stderr, "cni.dev/new") {
		t.Errorf("got the warnings %q, want one about bpfroot and none about cni.dev/new", a.stderr)
	}
}
