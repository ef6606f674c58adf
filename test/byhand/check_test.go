package byhand

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// closedPipe returns the writing end of a pipe that nobody reads.
func closedPipe(t testing.TB) *os.File {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	t.Cleanup(func() { w.Close() })
	return w
}

// typed declares a map that ADD creates.
func typed() keys {
	return keys{"maps": []any{keys{"name": "stats_", "type": "array", "keySize": 4, "valueSize": 16, "maxEntries": 2}}}
}

// withResult puts the result of ADD into a configuration, as runtimes do.
func withResult(c keys, result string) keys {
	return newConfig(c, keys{"prevResult": raw(result)})
}

func TestCheck(t *testing.T) {
	remove := func(p string) func(testing.TB, string) string {
		return func(t testing.TB, result string) string {
			t.Helper()
			if err := os.RemoveAll(strings.ReplaceAll(p, "ID", resultID(t, result))); err != nil {
				t.Fatal(err)
			}
			return result
		}
	}
	for _, row := range []struct {
		name   string
		breaks func(t testing.TB, result string) string
		msg    string // empty: CHECK succeeds
	}{
		{"as it was", func(_ testing.TB, r string) string { return r }, ""},
		{"pin removed", remove(root + "/tc/globals/stats_ID"), "stats_"},
		{"record removed", remove(root + "/cni/endpoints/ID"), "no endpoint"},
		{"path missing in prevResult", func(testing.TB, string) string { return `{"cniVersion":"1.1.0"}` }, "lacks the path"},
		{"another ID in prevResult", func(t testing.TB, r string) string {
			t.Helper()
			return strings.ReplaceAll(r, resultID(t, r), "00001")
		}, "00001"},
		{"unmounted", func(t testing.TB, r string) string {
			t.Helper()
			testns.UnmountAll(t, root)
			return r
		}, "no endpoint"},
	} {
		t.Run(row.name, func(t *testing.T) {
			emptyNode(t)
			result := row.breaks(t, call{verb: "ADD", config: newConfig(typed())}.must(t).stdout)
			before := mountTable(t)
			check := call{verb: "CHECK", config: withResult(typed(), result)}
			if row.msg == "" {
				check.must(t)
			} else if e := check.refused(t, 105); !strings.Contains(e.Msg, row.msg) {
				t.Errorf("got the message %q, want one about %q", e.Msg, row.msg)
			}
			if mountTable(t) != before {
				t.Error("CHECK changed the mount table")
			}
		})
	}
}

// resultID returns the five digits in the paths of a result.
func resultID(t testing.TB, result string) string {
	t.Helper()
	path := localMaps(t, answer{stdout: result})[0].Path
	return path[len(path)-5:]
}

func TestStatus(t *testing.T) {
	tmpfs := func(at string) func(testing.TB) {
		return func(t testing.TB) {
			t.Helper()
			mkdir(t, at)
			testns.Mount(t, "tmpfs", at, "")
		}
	}
	nothing := func(testing.TB) {}
	for _, row := range []struct {
		name    string
		prepare func(testing.TB)
		config  keys
		msg     string // empty: STATUS succeeds
	}{
		{"nothing mounted", nothing, nil, ""},
		{"bpffs mounted", func(t testing.TB) { t.Helper(); testns.Mount(t, "bpf", root, "") }, nil, ""},
		{"fallback", tmpfs(root), nil, ""},
		{"fallback taken too", func(t testing.TB) { t.Helper(); tmpfs(root)(t); tmpfs("/run/cilium/bpffs")(t) }, nil, "tmpfs"},
		{"given root taken", tmpfs("/run/taken"), keys{"bpfRoot": "/run/taken"}, "tmpfs"},
		{"stacked", func(t testing.TB) {
			t.Helper()
			testns.Mount(t, "bpf", root, "")
			testns.Mount(t, "bpf", root, "")
		}, nil, "stacked"},
		{"a file", nothing, keys{"bpfRoot": plugin}, "not a directory"},
		{"unsafe records", func(t testing.TB) {
			t.Helper()
			testns.Mount(t, "bpf", root, "")
			mkdir(t, root+"/cni")
			testns.Chown(t, root+"/cni", 65534)
		}, nil, "belongs to user 65534"},
		{"full", fillNode, nil, "no endpoint ID is free"},
	} {
		t.Run(row.name, func(t *testing.T) {
			emptyNode(t)
			row.prepare(t)
			before := mountTable(t)
			status := call{verb: "STATUS", config: newConfig(row.config, keys{"prevResult": nil})}
			if row.msg == "" {
				status.must(t)
			} else if e := status.refused(t, 50); !strings.Contains(e.Msg, row.msg) {
				t.Errorf("got the message %q, want one about %q", e.Msg, row.msg)
			}
			if mountTable(t) != before {
				t.Error("STATUS changed the mount table")
			}
		})
	}
}

// fillNode leaves no endpoint ID free.
func fillNode(t testing.TB) {
	t.Helper()
	testns.Mount(t, "bpf", root, "mode=0700")
	mkdir(t, root+"/cni/layout-1", root+"/cni/endpoints")
	for id := 1; id <= 65535; id++ {
		if err := os.Mkdir(root+"/cni/endpoints/"+digits(id), 0o700); err != nil {
			t.Fatal(err)
		}
	}
}

// raw is a result as part of a configuration.
func raw(result string) json.RawMessage { return json.RawMessage(result) }
