package install

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	testnode "github.com/cni-bpffs/cni-bpffs/test/internal/node"
	"github.com/cni-bpffs/cni-bpffs/test/internal/trace"
)

// A scenario is a state of a node, a command that is killed there, and what is
// typed then to have what it was to do.
type scenario struct {
	name    string
	prepare func(n *node)
	words   []string
}

func scenarios() []scenario {
	installed := func(mode string) func(*node) {
		return func(n *node) { n.succeed("install", "--mode", mode) }
	}
	older := func(mode string) func(*node) {
		return func(n *node) {
			n.write("from", string(ours())+"older")
			testns.Must(n, os.Chmod(n.dir+"/from", 0o755))
			n.write("conf.json", `{"type": "bpffs", "maps": [{"name": "policy_"}]}`)
			n.succeed("install", "--mode", mode, "--from", n.dir+"/from", "--plugin-conf", n.dir+"/conf.json")
		}
	}
	return []scenario{
		{"install", func(*node) {}, []string{"install", "--mode", "conflist"}},
		{"install a drop-in", func(*node) {}, []string{"install", "--mode", "drop-in"}},
		{"upgrade", older("conflist"), []string{"install", "--mode", "conflist", "--plugin-conf", pluginConf}},
		{"upgrade a drop-in", older("drop-in"), []string{"install", "--mode", "drop-in", "--plugin-conf", pluginConf}},
		{"change to drop-in", installed("conflist"), []string{"install", "--mode", "drop-in", "--lose-paths"}},
		{"change to conflist", installed("drop-in"), []string{"install", "--mode", "conflist"}},
		{"uninstall", installed("conflist"), []string{"uninstall", "--force"}},
		{"uninstall a drop-in", installed("drop-in"), []string{"uninstall", "--force"}},
	}
}

// TestKillAnywhere kills install and uninstall at every system call in turn. After
// each kill there are whole files only, and the network has its main plugin. The
// same command again leaves what it would have left without the kill, and
// uninstall what was there at first.
func TestKillAnywhere(t *testing.T) {
	var mu sync.Mutex
	stops := 0
	t.Run("scenario", func(t *testing.T) {
		for _, sc := range scenarios() {
			t.Run(sc.name, func(t *testing.T) {
				t.Parallel()
				n := killEverywhere(t, sc)
				mu.Lock()
				defer mu.Unlock()
				stops += n
				t.Logf("%d stops", n)
			})
		}
	})
	t.Logf("in all %d stops, a kill and each of two recoveries at each", stops)
}

// A stage is a node on which a scenario is played again and again.
type stage struct {
	*node
	scenario
	bare, start, done testnode.Tree // the node without ours, before, and after the command
}

func newStage(t *testing.T, sc scenario) *stage {
	t.Helper()
	files := map[string]string{"10.conflist": list("net", "bridge", "tuning"), "20.conflist": list("other", "ptp"), "kubeconfig": "secret"}
	s := &stage{node: newNode(t, files), scenario: sc}
	s.keep("bare")
	s.bare = s.tree()
	s.prepare(s.node)
	s.keep("start")
	s.start = s.tree()
	s.succeed(s.words[0], s.words[1:]...)
	s.done = s.tree()
	return s
}

// keep makes a copy of the node.
func (s *stage) keep(name string) {
	s.Helper()
	s.shell("cp -a %[1]s %[1]s."+name, s.dir)
	s.Cleanup(func() { os.RemoveAll(s.dir + "." + name) })
}

// reset puts the copy into the place of the node.
func (s *stage) reset(name string) {
	s.Helper()
	s.shell("rm -rf %[1]s && cp -al %[1]s."+name+" %[1]s", s.dir)
}

func (s *stage) shell(format string, args ...any) {
	s.Helper()
	if out, err := exec.Command("sh", "-c", fmt.Sprintf(format, args...)).CombinedOutput(); err != nil {
		s.Fatalf("%v: %s", err, out)
	}
}

// killEverywhere returns how many stops there were.
func killEverywhere(t *testing.T, sc scenario) (stops int) {
	t.Helper()
	s := newStage(t, sc)
	counts := trace.Changing
	if flag.Lookup(flagAll).Value.String() == "true" {
		counts = trace.Any
	}
	for n := 1; ; n++ {
		s.reset("start")
		at, killed := s.kill(n, counts)
		if !killed {
			return n - 1
		}
		s.holds(at)
		s.succeed(s.words[0], s.words[1:]...)
		if diff := cmp.Diff(s.done, s.tree()); diff != "" {
			t.Fatalf("killed at %v, then %v (-without the kill +got):\n%s", at, s.words, diff)
		}
		s.reset("start")
		s.kill(n, counts)
		s.succeed("uninstall", "--force")
		if diff := cmp.Diff(withoutInput(s.bare), withoutInput(s.tree())); diff != "" {
			t.Fatalf("killed at %v, then uninstall (-before everything +got):\n%s", at, diff)
		}
	}
}

// withoutInput leaves out what a test wrote for install to read.
func withoutInput(tree map[string]string) map[string]string {
	tree = maps.Clone(tree)
	delete(tree, "from")
	delete(tree, "conf.json")
	return tree
}

// kill plays the command and kills it before its nth system call that counts.
func (s *stage) kill(n int, counts func(uint64) bool) (at trace.Stop, killed bool) {
	s.Helper()
	at, killed, _, err := trace.Run(s.command(s.words[0], s.words[1:]...), n, counts, trace.Kill(unix.SIGKILL))
	testns.Must(s, err)
	return at, killed
}

// holds wants what must be true at every moment.
func (s *stage) holds(at trace.Stop) {
	s.Helper()
	tree := s.tree()
	for name, is := range tree {
		path := filepath.Join(s.dir, name)
		switch {
		case strings.Contains(name, ".bpffs-install"), is == s.start[name], is == s.done[name]:
		case strings.HasPrefix(is, "d"): // a directory in between, of which the end is compared
		case filepath.Ext(name) == ".conflist" && json.Valid(contents(s.node, path)):
		default:
			s.Errorf("%s after a kill at %v: got %q, want %q or %q", name, at, is, s.start[name], s.done[name])
		}
	}
	for name := range s.bare {
		if _, ok := tree[name]; !ok {
			s.Errorf("%s after a kill at %v: got nothing, want it to be there", name, at)
		}
	}
	types := s.types("net")
	least, most := 0, 1
	if strings.HasPrefix(s.name, "change") {
		least, most = 1, 2 // twice does no harm, never does
	}
	if n := strings.Count(types, "bpffs"); !strings.HasPrefix(types, "bridge ") || n < least || n > most || s.types("other") != "ptp" {
		s.Errorf("plugins after a kill at %v: got %q and %q, want the main plugins, and bpffs %d to %d times in the first", at, types, s.types("other"), least, most)
	}
	if s.Failed() {
		s.FailNow()
	}
}

func contents(tb testing.TB, path string) []byte {
	tb.Helper()
	data, err := os.ReadFile(path)
	testns.Must(tb, err)
	return data
}

// Several that install and uninstall at once do not disturb each other, and
// whoever is last has done what it was to do.
func TestConcurrent(t *testing.T) {
	t.Parallel()
	n := newNode(t, map[string]string{"10.conflist": list("net", "bridge", "tuning")})
	before := n.tree()
	commands := [][]string{
		{"install", "--mode", "conflist"},
		{"install", "--mode", "drop-in", "--lose-paths"},
		{"uninstall", "--force"},
	}
	n.crowd(commands[:1], 8)
	n.calls("net", "bridge bpffs tuning")
	for range 10 {
		n.crowd(commands, 4)
		got := n.types("net")
		_, err := os.Stat(n.bin + "/bpffs")
		if called := strings.Count(got, "bpffs"); !strings.HasPrefix(got, "bridge ") || called > 1 || (called == 1) != (err == nil) {
			t.Fatalf("plugins: got %q, want the bridge, and bpffs once or not, as its binary is there: %v", got, err)
		}
	}
	n.crowd(commands[2:], 4)
	if diff := cmp.Diff(before, n.tree()); diff != "" {
		t.Errorf("in the end (-before +after):\n%s", diff)
	}
}

// crowd runs each command many times at once, and wants all to succeed.
func (n *node) crowd(commands [][]string, times int) {
	n.Helper()
	var all []*exec.Cmd
	for range times {
		for _, c := range commands {
			cmd := n.command(c[0], c[1:]...)
			cmd.Stderr = &strings.Builder{}
			testns.Must(n, cmd.Start())
			all = append(all, cmd)
		}
	}
	for _, cmd := range all {
		if err := cmd.Wait(); err != nil {
			n.Errorf("%v: got %v, want success: %v", cmd.Args[1:], err, cmd.Stderr)
		}
	}
}
