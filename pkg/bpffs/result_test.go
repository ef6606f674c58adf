package bpffs

import (
	"encoding/json"
	"path"
	"strings"
	"testing"

	types100 "github.com/containernetworking/cni/pkg/types/100"
	"github.com/google/go-cmp/cmp"
)

// result decodes a CNI result as a plugin does.
func result(tb testing.TB, text string) *types100.Result {
	tb.Helper()
	r := &types100.Result{}
	if err := json.Unmarshal([]byte(text), r); err != nil {
		tb.Fatalf("%s: %v", text, err)
	}
	return r
}

func TestAppendPaths(t *testing.T) {
	for _, row := range []struct {
		name, result string
		paths        []string
		want         string
	}{
		{"nothing in it", `{}`, []string{"/b/m_00001"}, `{"interfaces":[{"name":"/b/m_00001"}]}`},
		{"no paths", `{"interfaces":[{"name":"a"}]}`, nil, `{"interfaces":[{"name":"a"}]}`},
		{"no paths and nothing in it", `{}`, nil, `{}`},
		{
			"after all others", `{"interfaces":[{"name":"a"},{"name":"b"}],"ips":[{"interface":1,"address":"10.0.0.2/8"}]}`,
			[]string{"/b/m_00001", "/b/k_00001"},
			`{"interfaces":[{"name":"a"},{"name":"b"},{"name":"/b/m_00001"},{"name":"/b/k_00001"}],"ips":[{"interface":1,"address":"10.0.0.2/8"}]}`,
		},
		{"there already", `{"interfaces":[{"name":"/b/m_00001"},{"name":"a"}]}`, []string{"/b/m_00001"}, `{"interfaces":[{"name":"/b/m_00001"},{"name":"a"}]}`},
		{"one path twice", `{}`, []string{"/b/m_00001", "/b/m_00001"}, `{"interfaces":[{"name":"/b/m_00001"}]}`},
	} {
		t.Run(row.name, func(t *testing.T) {
			given, before := result(t, row.result), result(t, row.result)
			got := AppendPaths(given, row.paths)
			if diff := cmp.Diff(result(t, row.want), got); diff != "" {
				t.Errorf("AppendPaths(%s, %q) (-want +got):\n%s", row.result, row.paths, diff)
			}
			if diff := cmp.Diff(before, given); diff != "" {
				t.Errorf("AppendPaths(%s, %q) changed what it was given (-before +after):\n%s", row.result, row.paths, diff)
			}
			if diff := cmp.Diff(got, AppendPaths(got, row.paths)); diff != "" {
				t.Errorf("AppendPaths a second time (-first +second):\n%s", diff)
			}
		})
	}
}

func TestLocalMaps(t *testing.T) {
	if got := LocalMaps(nil); got != nil {
		t.Errorf("LocalMaps(nil): got %v, want none", got)
	}
	for _, row := range []struct {
		name, result string
		want         []LocalMap
	}{
		{"empty", `{}`, nil},
		{"null", `{"interfaces":null}`, nil},
		{"devices only", `{"interfaces":[{"name":"eth0"},{},null]}`, nil},
		{
			"in their order", `{"interfaces":[{"name":"eth0"},{"name":"/b/z_00002"},{"name":"/b/a_00001"}]}`,
			[]LocalMap{{"/b/z_00002", "z_", 2}, {"/b/a_00001", "a_", 1}},
		},
		{"digits in the name", `{"interfaces":[{"name":"/b/m100042"}]}`, []LocalMap{{"/b/m100042", "m1", 42}}},
		{"short", `{"interfaces":[{"name":"/m00001"}]}`, []LocalMap{{"/m00001", "m", 1}}},
		{"relative", `{"interfaces":[{"name":"b/m_00001"}]}`, nil},
		{"unclean", `{"interfaces":[{"name":"/b/../m_00001"},{"name":"/b//m_00001"},{"name":"/b/m_00001/"}]}`, nil},
		{"only an ID", `{"interfaces":[{"name":"/b/00001"}]}`, nil},
		{"no ID", `{"interfaces":[{"name":"/b/m_"},{"name":"/b/m_0001x"},{"name":"/b/m_1"}]}`, nil},
		{"ID out of range", `{"interfaces":[{"name":"/b/m_00000"},{"name":"/b/m_65536"}]}`, nil},
		{"root alone", `{"interfaces":[{"name":"/"},{"name":""}]}`, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			if diff := cmp.Diff(row.want, LocalMaps(result(t, row.result))); diff != "" {
				t.Errorf("LocalMaps(%s) (-want +got):\n%s", row.result, diff)
			}
		})
	}
}

func FuzzParseLocalMap(f *testing.F) {
	for _, p := range []string{"/b/m_00001", "eth0", "/00001", "//m00001", "/../m00001", "/b/..00001"} {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, p string) {
		m, ok := ParseLocalMap(p)
		if !ok {
			return
		}
		if m.Path != p || m.Name == "" || m.EndpointID == 0 || path.Base(p) != LocalMapName(m.Name, m.EndpointID) ||
			!strings.HasPrefix(p, "/") || path.Clean(p) != p {
			t.Errorf("ParseLocalMap(%q) gives %+v, which does not fit together", p, m)
		}
	})
}
