package byhand

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netns"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// A chain is a network that cnitool drives: bridge, the plugin, the recorder.
type chain struct {
	dir   string // where the recorder writes
	env   []string
	netns string
}

func newChain(t *testing.T, cniVersion string, ours, last keys) *chain {
	t.Helper()
	testns.Need(t)
	c := &chain{dir: t.TempDir(), netns: newNetNS(t)}
	path, recorder := installRecorder(t, c.dir)
	maps.Copy(recorder, last)
	bridge := keys{
		"type": "bridge", "bridge": "br-test", "isGateway": true,
		"ipam": keys{"type": "host-local", "ranges": []any{[]any{keys{"subnet": "10.244.79.0/24"}}}},
	}
	conf := t.TempDir()
	list := keys{"cniVersion": cniVersion, "name": "net", "plugins": []any{bridge, ours, recorder}}
	if err := os.Rename(writeJSON(t, list), filepath.Join(conf, "10-net.conflist")); err != nil {
		t.Fatal(err)
	}
	c.env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "CNI_PATH=" + path, "NETCONFPATH=" + conf}
	return c
}

// cnitool runs the verb and returns what it prints and whether it succeeded.
func (c *chain) cnitool(t testing.TB, verb string) (string, error) {
	t.Helper()
	cmd := exec.Command(binDir+"/cni/cnitool", verb, "net", c.netns)
	cmd.Env = c.env
	out, err := cmd.Output()
	return string(out), err
}

func (c *chain) must(t testing.TB, verb string) string {
	t.Helper()
	out, err := c.cnitool(t, verb)
	if err != nil {
		t.Fatalf("cnitool %s: %v: %s", verb, err, out)
	}
	return out
}

// newNetNS returns the path of a new network namespace.
func newNetNS(t *testing.T) string {
	t.Helper()
	own, err := netns.Get()
	if err != nil {
		t.Fatal(err)
	}
	name := strings.NewReplacer("/", "-", ".", "-").Replace(t.Name())
	made, err := netns.NewNamed(name)
	if err != nil {
		t.Fatal(err)
	}
	made.Close()
	if err := netns.Set(own); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { netns.DeleteNamed(name) })
	return "/run/netns/" + name
}

func TestChain(t *testing.T) {
	ours := keys{"type": "bpffs", "maps": []any{
		keys{"name": "policy_"},
		keys{"name": "stats_", "type": "array", "keySize": 4, "valueSize": 8, "maxEntries": 1},
	}}
	for version, verbs := range map[string][]string{
		"0.3.1": {"del"}, "0.4.0": {"check", "del"}, "1.0.0": {"check", "del"}, "1.1.0": {"check", "status", "gc", "del"},
	} {
		t.Run(version, func(t *testing.T) {
			emptyNode(t)
			c := newChain(t, version, ours, nil)
			var want []string
			for _, m := range localMaps(t, answer{stdout: c.must(t, "add")}) {
				want = append(want, m.Path)
			}
			if len(want) != 2 || !there(t, want[1]) {
				t.Errorf("got the paths %v in the result, want two, the second of a map that is there", want)
			}
			if diff := cmp.Diff(want, recorded(t, c.dir, "ADD")); diff != "" {
				t.Errorf("what reached the next plugin (-result +next):\n%s", diff)
			}
			for _, verb := range verbs {
				c.must(t, verb)
			}
			if diff := cmp.Diff(left, tree(t, root)); diff != "" {
				t.Errorf("left after DEL (-want +got):\n%s", diff)
			}
		})
	}
}

func TestChainFailsLater(t *testing.T) {
	emptyNode(t)
	c := newChain(t, "1.0.0", keys{"type": "bpffs", "maps": []any{keys{"name": "policy_"}}}, keys{"fail": true})
	if out, err := c.cnitool(t, "add"); err == nil {
		t.Fatalf("add succeeds with %s though the last plugin fails", out)
	}
	c.must(t, "del")
	if diff := cmp.Diff(left, tree(t, root)); diff != "" {
		t.Errorf("left after a failed ADD and its DEL (-want +got):\n%s", diff)
	}
}
