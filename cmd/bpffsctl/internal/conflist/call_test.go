package conflist_test

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/conflist"
	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// Each place that names the plugin is found, and called unless its list forbids that.
func TestCalls(t *testing.T) {
	const inline = `{"type":"a"},{"type":"bpffs","n":1},{"type":"bpffs","n":2}`
	for _, tt := range []struct {
		name, list        string
		dropIn            string
		mentioned, called []string
	}{
		{"in the list, twice", `{"name":"n","plugins":[` + inline + `]}`, `{"type":"b"}`, []string{"10.conflist", "10.conflist"}, []string{"10.conflist", "10.conflist"}},
		{"in a drop-in file", `{"name":"n","plugins":[{"type":"a"}]}`, `{"type":"bpffs"}`, []string{"x.conf"}, []string{"x.conf"}},
		{"in both", `{"name":"n","plugins":[{"type":"bpffs"}]}`, `{"type":"bpffs"}`, []string{"10.conflist", "x.conf"}, []string{"10.conflist", "x.conf"}},
		{"forbidden", `{"name":"n","loadOnlyInlinedPlugins":true,"plugins":[{"type":"bpffs"}]}`, `{"type":"bpffs"}`, []string{"10.conflist", "x.conf"}, []string{"10.conflist"}},
		{"not at all", `{"name":"n","plugins":[{"type":"a"}]}`, `{"type":`, nil, nil},
	} {
		dir, err := conflist.Read(testns.Files(t, map[string]string{"10.conflist": tt.list, "n/x.conf": tt.dropIn}))
		testns.Must(t, err)
		for _, of := range []struct {
			calls []conflist.Call
			want  []string
		}{{dir.Networks[0].Mentions(), tt.mentioned}, {dir.Networks[0].Calls(), tt.called}} {
			var got []string
			for _, c := range of.calls {
				got = append(got, filepath.Base(c.Path))
				if name := c.Config().Name; name != "n" || c.DropIn != (filepath.Ext(c.Path) == ".conf") {
					t.Errorf("%s: got a call of %q in %s, drop-in: %v", tt.name, name, c.Path, c.DropIn)
				}
			}
			if diff := cmp.Diff(of.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tt.name, diff)
			}
		}
	}
}

// What a broken file does depends on the runtime.
func TestFirst(t *testing.T) {
	const a, b = `{"name":"a","plugins":[{"type":"x"}]}`, `{"name":"b","plugins":[{"type":"x"}]}`
	for _, tt := range []struct {
		name                          string
		files                         map[string]string
		want, passing, withoutDropIns string
	}{
		{"the first of two", map[string]string{"10.conflist": a, "20.conflist": b}, "a", "a", "a"},
		{"a broken list", map[string]string{"10.conflist": "{", "20.conflist": b}, "", "b", ""},
		{"a broken drop-in file", map[string]string{"10.conflist": a, "a/x.conf": "{", "20.conflist": b}, "", "b", "a"},
		{"two broken files", map[string]string{"10.conflist": "{", "20.conflist": b, "b/x.conf": ""}, "", "", ""},
		{"none", nil, "", "", ""},
	} {
		dir, err := conflist.Read(testns.Files(t, tt.files))
		testns.Must(t, err)
		for _, of := range []struct {
			passes, ignores bool
			want            string
		}{{false, false, tt.want}, {true, false, tt.passing}, {false, true, tt.withoutDropIns}} {
			got, ok := dir.First(of.passes, of.ignores)
			if got.List.Name != of.want || ok != (of.want != "") {
				t.Errorf("%s, passes broken files: %v, ignores drop-in files: %v: got %q, %v, want %q", tt.name, of.passes, of.ignores, got.List.Name, ok, of.want)
			}
		}
	}
}
