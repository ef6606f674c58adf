package conflist_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containernetworking/cni/libcni"
	"github.com/google/go-cmp/cmp"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/conflist"
	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

const (
	plain = `{"type":"bpffs"}`
	full  = `{"type": "bpffs", "maps": [{"name": "policy_"}, {"name": "b", "type": "array"}], "x-note": "<&>é"}`
)

// networks returns the configurations that main plugins write.
func networks(tb testing.TB) map[string][]byte {
	tb.Helper()
	paths, err := filepath.Glob("testdata/*.conflist")
	if err != nil || len(paths) < 6 {
		tb.Fatalf("testdata: %q, %v, want at least six lists", paths, err)
	}
	all := make(map[string][]byte)
	for _, path := range paths {
		data, err := os.ReadFile(path)
		testns.Must(tb, err)
		all[filepath.Base(path)] = data
	}
	return all
}

// loaded returns the types of the plugins that libcni calls for the list.
func loaded(t *testing.T, data []byte) (types []string) {
	t.Helper()
	list, err := libcni.NetworkConfFromBytes(data)
	if err != nil {
		t.Fatalf("libcni refuses it: %v\n%s", err, data)
	}
	for _, p := range list.Plugins {
		types = append(types, p.Network.Type)
	}
	return types
}

// What every main plugin writes gets ours after its first plugin, and is the same
// to the byte after ours is removed.
func TestInsertRemove(t *testing.T) {
	for name, data := range networks(t) {
		for _, plugin := range []string{plain, full} {
			t.Run(name, func(t *testing.T) { roundTrip(t, data, plugin) })
		}
	}
}

func roundTrip(t *testing.T, data []byte, plugin string) {
	t.Helper()
	in := insert(t, data, plugin)
	before, after := loaded(t, data), loaded(t, in)
	want := append([]string{before[0], "bpffs"}, before[1:]...)
	if diff := cmp.Diff(want, after); diff != "" {
		t.Errorf("the plugins that libcni finds (-want +got):\n%s\n%s", diff, in)
	}
	if again := insert(t, in, plugin); !bytes.Equal(again, in) {
		t.Errorf("inserted again:\n%s\nwant the same as the first time:\n%s", again, in)
	}
	out, err := conflist.Remove(in)
	if err != nil || !bytes.Equal(out, data) {
		t.Errorf("removed: %v\n%q\nwant what was there before:\n%q", err, out, data)
	}
	if strings.Count(string(data), "\r\n") > 0 && strings.Count(string(in), "\n") != strings.Count(string(in), "\r\n") {
		t.Errorf("the ends of lines are mixed: %q", in)
	}
}

func insert(t *testing.T, data []byte, plugin string) []byte {
	t.Helper()
	out, err := conflist.Insert(data, []byte(plugin))
	if err != nil {
		t.Fatalf("Insert(%s, %s): %v", data, plugin, err)
	}
	return out
}

// list returns a list with these plugins.
func list(plugins string) string { return `{"name": "n", "plugins": [` + plugins + `]}` }

func TestInsert(t *testing.T) {
	const nl, crlf = "{\"name\":\"n\",\"plugins\":[\n  {\n    \"type\": \"a\"\n  }\n]}", "{\"name\":\"n\",\"plugins\":[\r\n\t{\r\n\t\t\"type\": \"a\"\r\n\t}]}"
	for _, tt := range []struct {
		name, data, plugin, want string
	}{
		{"one line", list(`{"type":"a"}`), plain, list(`{"type":"a"},{"type":"bpffs"}`)},
		{"one line, spaces", list(`{"type":"a"}, {"type":"b"}`), plain, list(`{"type":"a"}, {"type":"bpffs"}, {"type":"b"}`)},
		{"indented", nl, plain, "{\"name\":\"n\",\"plugins\":[\n  {\n    \"type\": \"a\"\n  },\n  {\n    \"type\": \"bpffs\"\n  }\n]}"},
		{"CRLF and tabs", crlf, plain, "{\"name\":\"n\",\"plugins\":[\r\n\t{\r\n\t\t\"type\": \"a\"\r\n\t},\r\n\t{\r\n\t\t\"type\": \"bpffs\"\r\n\t}]}"},
		{"there, last", list(`{"type":"a"},{"type":"b"},{"type":"bpffs"}`), plain, list(`{"type":"a"},{"type":"b"},{"type":"bpffs"}`)},
		{"in front of the main plugin", list(`{"type":"bpffs"},{"type":"b"}`), plain, list(`{"type":"b"},{"type":"bpffs"}`)},
		{"in front of it, after others", list(`{"type":"loopback"}, {"type":"bpffs"}, {"type":"tuning"}, {"type":"b"}, {"type":"c"}`), plain, list(`{"type":"loopback"}, {"type":"tuning"}, {"type":"b"}, {"type":"bpffs"}, {"type":"c"}`)},
		{"in front of it and behind it", list(`{"type":"bpffs"},{"type":"b"},{"type":"bpffs"},{"type":"c"}`), plain, list(`{"type":"b"},{"type":"bpffs"},{"type":"c"}`)},
		{"after loopback and bridge", list(`{"type":"loopback"},{"type":"bridge"},{"type":"portmap"}`), plain, list(`{"type":"loopback"},{"type":"bridge"},{"type":"bpffs"},{"type":"portmap"}`)},
		{"after tuning, firewall and ptp", list(`{"type":"tuning"},{"type":"firewall"},{"type":"ptp"}`), plain, list(`{"type":"tuning"},{"type":"firewall"},{"type":"ptp"},{"type":"bpffs"}`)},
		{"before a mesh", list(`{"type":"azure-vnet"},{"type":"portmap"},{"type":"v2-6-istio-cni"}`), plain, list(`{"type":"azure-vnet"},{"type":"bpffs"},{"type":"portmap"},{"type":"v2-6-istio-cni"}`)},
		{"of two that make one the first", list(`{"type":"aws-cni"},{"type":"egress-cni"},{"type":"cilium-cni"}`), plain, list(`{"type":"aws-cni"},{"type":"bpffs"},{"type":"egress-cni"},{"type":"cilium-cni"}`)},
		{"there, other layout", list(`{"type":"a"},{ "y": 1.0, "type" : "bpffs" }`), `{"type":"bpffs","y":1.0}`, list(`{"type":"a"},{ "y": 1.0, "type" : "bpffs" }`)},
		{"there, differs", list(`{"type":"a"},{"type":"bpffs","x":1},{"type":"b"}`), plain, list(`{"type":"a"},{"type":"bpffs"},{"type":"b"}`)},
		{"in front of the main plugin, differs", list(`{"type":"bpffs","x":1},{"type":"b"}`), plain, list(`{"type":"b"},{"type":"bpffs"}`)},
		{"there twice", list(`{"type":"a"},{"type":"bpffs"},{"type":"b"} , {"type":"bpffs"}`), plain, list(`{"type":"a"},{"type":"bpffs"},{"type":"b"}`)},
		{"type in capitals", list(`{"type":"a"},{"TYPE":"bpffs"}`), `{"TYPE":"bpffs"}`, list(`{"type":"a"},{"TYPE":"bpffs"}`)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := string(insert(t, []byte(tt.data), tt.plugin)); got != tt.want {
				t.Errorf("Insert(%q, %s)\n got %q\nwant %q", tt.data, tt.plugin, got, tt.want)
			}
		})
	}
}

func TestRemove(t *testing.T) {
	for _, tt := range []struct{ name, data, want string }{
		{"not there", list(`{"type":"a"}`), list(`{"type":"a"}`)},
		{"last", list(`{"type":"a"} , {"type":"bpffs"} `), list(`{"type":"a"} `)},
		{"first", list(` {"type":"bpffs"} , {"type":"a"}`), list(` {"type":"a"}`)},
		{"first and twice", list(`{"type":"bpffs"},{"type":"bpffs"},{"type":"a"},{"type":"bpffs"}`), list(`{"type":"a"}`)},
		{"no plugins", `{"name":"n"}`, `{"name":"n"}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := conflist.Remove([]byte(tt.data))
			if err != nil || string(got) != tt.want {
				t.Errorf("Remove(%s): %s, %v, want %s", tt.data, got, err, tt.want)
			}
		})
	}
}

// What cannot be edited is refused.
func TestRefused(t *testing.T) {
	only := list(`{"type":"bpffs"}`)
	for _, tt := range []struct {
		name, data string
		want       error
	}{
		{"empty", "", conflist.ErrInvalid},
		{"half", `{"name": "n", "plugins": [{"type":`, conflist.ErrInvalid},
		{"two values", list(`{"type":"a"}`) + list(`{"type":"a"}`), conflist.ErrInvalid},
		{"byte order mark", "\ufeff" + list(`{"type":"a"}`), conflist.ErrInvalid},
		{"null", `null`, conflist.ErrInvalid},
		{"array", `[{"type":"a"}]`, conflist.ErrInvalid},
		{"no name", `{"plugins": [{"type":"a"}]}`, conflist.ErrInvalid},
		{"name is a number", `{"name": 7, "plugins": [{"type":"a"}]}`, conflist.ErrInvalid},
		{"plugins twice", `{"name":"n","plugins": [{"type":"a"}],"plugins": [{"type":"b"}]}`, conflist.ErrInvalid},
		{"plugins is no array", `{"name":"n","plugins": {"type":"a"}}`, conflist.ErrInvalid},
		{"plugins are empty", list(``), conflist.ErrInvalid},
		{"a plugin without type", list(`{"type":"a"},{}`), conflist.ErrInvalid},
		{"a plugin that is no object", list(`"a"`), conflist.ErrInvalid},
		{"ours alone", only, conflist.ErrNoMain},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got, err := conflist.Insert([]byte(tt.data), []byte(plain)); !errors.Is(err, tt.want) {
				t.Errorf("Insert: %q, %v, want %v", got, err, tt.want)
			}
			if got, err := conflist.Remove([]byte(tt.data)); !errors.Is(err, tt.want) {
				t.Errorf("Remove: %q, %v, want %v", got, err, tt.want)
			}
		})
	}
	for _, plugin := range []string{``, `{}`, `{"type":"other"}`, `[]`, `{"type":"bpffs"} x`} {
		if got, err := conflist.Insert([]byte(list(`{"type":"a"}`)), []byte(plugin)); err == nil {
			t.Errorf("Insert of %s: %s, want an error", plugin, got)
		}
	}
}

// A list in which nothing makes an interface yet is waited for; ours can be taken
// out of it.
func TestNothingMakesAnInterface(t *testing.T) {
	for _, types := range []string{`{"type":"loopback"}`, `{"type":"portmap"},{"type":"tuning"}`, `{"type":"istio-cni"}`, `{"type":"bpffs"},{"type":"loopback"}`} {
		data := []byte(list(types))
		if got, err := conflist.Insert(data, []byte(plain)); !errors.Is(err, conflist.ErrNoMain) {
			t.Errorf("Insert into %s: %s, %v, want %v", types, got, err, conflist.ErrNoMain)
		}
		if got, err := conflist.Remove(data); err != nil || strings.Contains(string(got), "bpffs") {
			t.Errorf("Remove from %s: %s, %v, want a list without ours", types, got, err)
		}
	}
}

// TestCheckPlugin: a person gives a whole network where one plugin belongs.
func TestCheckPlugin(t *testing.T) {
	for conf, says := range map[string]string{
		`{"type": "bpffs"}`: "",
		`{"type": "ptp"}`:   `the type "ptp"`,
		`{`:                 "the plugin's configuration",
		`{"cniVersion": "1.0.0", "name": "net", "plugins": [{"type": "ptp"}, {"type": "bpffs"}]}`: "a whole network",
	} {
		err := conflist.CheckPlugin([]byte(conf))
		if (err == nil) != (says == "") || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("%s: got %v, want %q", conf, err, says)
		}
	}
}
