package reliability

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/test/internal/node"
	"github.com/cni-bpffs/cni-bpffs/test/internal/plugintest"
)

// bind shows source at target.
func bind(t *testing.T, source, target string) {
	t.Helper()
	testns.Must(t, syscall.Mount(source, target, "", syscall.MS_BIND, ""))
}

// check makes a CHECK with the result of an ADD.
func (c call) check(t *testing.T, result string) answer {
	t.Helper()
	conf := plugintest.Conf(plugintest.Keys{"bpfRoot": c.root, "maps": json.RawMessage(c.maps), "prevResult": json.RawMessage(result)})
	return plugin().Call(t, "CHECK", conf, c.env()...)
}

// TestWhatAMountIsBoundOntoItself: a bpffs that is bound onto itself is one bpffs,
// also if that happens between two verbs.
func TestWhatAMountIsBoundOntoItself(t *testing.T) {
	for name, times := range map[string]int{"once": 1, "twice": 2, "often": 20} {
		t.Run(name, func(t *testing.T) {
			add := call{verb: "ADD", who: attachment{"net", "c", "eth0"}, root: newRoot(t), maps: created}
			mountBPF(t, add.root, "mode=0700")
			bindAll := func() {
				for range times {
					bind(t, add.root, add.root)
				}
			}
			for _, verb := range []string{"DEL", "GC"} {
				bindAll()
				add.as("STATUS").succeed(t)
				result := add.succeed(t).Stdout
				bindAll()
				if a := add.check(t, result); a.Status != 0 {
					t.Errorf("CHECK: got %+v, want success", a)
				}
				add.succeed(t)
				add.as(verb).succeed(t)
				node.NothingLeft(t, add.root)
			}
		})
	}
}

// TestWhatAMountIsBoundOntoItselfBelow: nor does a directory hide anything that is
// bound onto itself further down, as for a container that is given only that.
func TestWhatAMountIsBoundOntoItselfBelow(t *testing.T) {
	for _, parts := range [][]string{{"cni"}, {"tc"}, {node.Globals}, {node.Globals, node.Globals}, {"tc", node.Globals, "cni"}} {
		t.Run(strings.Join(parts, " and "), func(t *testing.T) {
			add := call{verb: "ADD", who: attachment{"net", "c", "eth0"}, root: newRoot(t), maps: created}
			result := add.succeed(t).Stdout
			for _, part := range parts {
				bind(t, filepath.Join(add.root, part), filepath.Join(add.root, part))
			}
			add.as("STATUS").succeed(t)
			if a := add.check(t, result); a.Status != 0 {
				t.Errorf("CHECK: got %+v, want success", a)
			}
			add.succeed(t)
			another := add
			another.who.container = "another"
			another.succeed(t)
			add.as("DEL").succeed(t)
			another.as("GC").succeed(t)
			node.NothingLeft(t, add.root)
		})
	}
}

// hides are mounts over parts of a bpffs.
func hides() map[string]func(t *testing.T, root, path string) {
	return map[string]func(t *testing.T, root, path string){
		"a tmpfs": func(t *testing.T, _, path string) {
			t.Helper()
			testns.Must(t, syscall.Mount("tmpfs", path, "tmpfs", 0, "mode=0700"))
		},
		"a tmpfs with records": func(t *testing.T, _, path string) {
			t.Helper()
			testns.Must(t, syscall.Mount("tmpfs", path, "tmpfs", 0, "mode=0700"))
			for _, name := range []string{"layout-1", "endpoints", "attachments/net/d", "globals", "net/d", "d", "eth1"} {
				mkdirs(t, filepath.Join(path, name))
			}
		},
		"another bpffs": func(t *testing.T, _, path string) {
			t.Helper()
			testns.Must(t, syscall.Mount("bpf", path, "bpf", 0, "mode=0700"))
		},
		"the same bpffs": func(t *testing.T, root, path string) {
			t.Helper()
			testns.Must(t, os.MkdirAll(root+"/part/full", 0o700))
			bind(t, root+"/part", path)
		},
		"itself": func(t *testing.T, _, path string) {
			t.Helper()
			bind(t, path, path)
		},
	}
}

// TestWhatAMountIsBelowTheRoot: where something is mounted on a part of the records
// or of the map prefix, every verb names it, nothing is written into it, and no DEL
// succeeds with a map left.
func TestWhatAMountIsBelowTheRoot(t *testing.T) {
	for hide, mount := range hides() {
		for _, part := range []string{"cni", "cni/endpoints", "cni/attachments", "tc", node.Globals} {
			t.Run(hide+" on "+part, func(t *testing.T) {
				t.Parallel()
				if hide == "itself" && !strings.HasPrefix(part, "cni/") {
					t.Skip("nothing is hidden")
				}
				add := call{verb: "ADD", who: attachment{"net", "c", "eth0"}, root: newRoot(t), maps: created}
				result := add.succeed(t).Stdout
				hidden := filepath.Join(add.root, part)
				before := readTree(t, add.root)
				mount(t, add.root, hidden)
				over := node.Identities(t, hidden)
				add.fail(t, 100, "mounted", hidden, "umount "+hidden)
				another := add
				another.who.container = "another"
				another.fail(t, 100, "mounted", hidden)
				add.as("STATUS").fail(t, 50, "mounted", hidden)
				add.check(t, result).WantError(t, "CHECK", 100, "mounted", hidden)
				for _, verb := range []string{"GC", "DEL"} {
					a, err := add.as(verb).try()
					testns.Must(t, err)
					if e, err := a.Error(); a.Status == 0 || err != nil || !plugintest.Contains(e.Msg, "mounted", "umount "+hidden) {
						t.Errorf("%s: got %+v (%v), want an error that names %s", verb, a, err, hidden)
					}
				}
				add.uncover(t, hidden, over, before)
			})
		}
	}
}

// TestWhatAMountIsInTheRecords: something is mounted on the record of one pod, or on
// its part of the index. Its DEL and GC do not succeed with a map left.
func TestWhatAMountIsInTheRecords(t *testing.T) {
	for hide, mount := range hides() {
		for _, part := range []string{"cni/endpoints/ID", "cni/attachments/net", "cni/attachments/net/c"} {
			t.Run(hide+" on "+part, func(t *testing.T) {
				t.Parallel()
				if hide == "itself" {
					t.Skip("nothing is hidden")
				}
				add := call{verb: "ADD", who: attachment{"net", "c", "eth0"}, root: newRoot(t), maps: created}
				id, err := add.succeed(t).ID()
				testns.Must(t, err)
				hidden := filepath.Join(add.root, strings.ReplaceAll(part, "ID", id))
				before := readTree(t, add.root)
				mount(t, add.root, hidden)
				over := node.Identities(t, hidden)
				for _, verb := range []string{"DEL", "GC", "CHECK", "ADD"} {
					a, err := add.as(verb).try()
					testns.Must(t, err)
					if e, err := a.Error(); a.Status == 0 || err != nil || !strings.Contains(e.Msg, hidden) {
						t.Errorf("%s: got %+v (%v), want an error that names %s", verb, a, err, hidden)
					}
				}
				add.uncover(t, hidden, over, before)
			})
		}
	}
}

// uncover wants what is mounted over hidden, and what it hides, to be as before, and
// takes it away: then a DEL leaves nothing.
func (c call) uncover(t *testing.T, hidden string, over node.Tree, before tree) {
	t.Helper()
	if diff := cmp.Diff(over, node.Identities(t, hidden)); diff != "" {
		t.Errorf("what is mounted changed (-before +after):\n%s", diff)
	}
	testns.Must(t, syscall.Unmount(hidden, syscall.MNT_DETACH))
	if diff := cmp.Diff(before, readTree(t, c.root).without([]string{"part"})); diff != "" {
		t.Errorf("what was hidden changed (-before +after):\n%s", diff)
	}
	testns.Must(t, os.RemoveAll(c.root+"/part"))
	c.as("DEL").succeed(t)
	node.NothingLeft(t, c.root)
}
