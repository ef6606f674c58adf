package install

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	testnode "github.com/cni-bpffs/cni-bpffs/test/internal/node"
)

// Every main plugin's file: installed, installed again, and as it was after that.
func TestRoundTrip(t *testing.T) {
	for file, tt := range map[string]struct{ network, inserted, dropped string }{
		"bridge.conflist":  {"mynet", "bridge bpffs portmap", "bridge portmap bpffs"},
		"calico.conflist":  {"k8s-pod-network", "calico bpffs portmap bandwidth", "calico portmap bandwidth bpffs"},
		"cilium.conflist":  {"cilium", "cilium-cni bpffs", "cilium-cni bpffs"},
		"flannel.conflist": {"cbr0", "flannel bpffs portmap", "flannel portmap bpffs"},
		"multus.conflist":  {"multus-cni-network", "multus-shim bpffs", "multus-shim bpffs"},
		"odd.conflist":     {"odd", "ptp bpffs tuning", "ptp tuning bpffs"},
	} {
		data, err := os.ReadFile(filepath.Join(lists, file))
		testns.Must(t, err)
		for mode, want := range map[string]string{"conflist": tt.inserted, "auto": tt.inserted, "drop-in": tt.dropped} {
			t.Run(file+"/"+mode, func(t *testing.T) {
				t.Parallel()
				n := newNode(t, map[string]string{"10-" + file: string(data), "20-other.conflist": list("other", "a"), "kubeconfig": "secret"})
				path := filepath.Join(n.conf, "10-"+file)
				testns.Chown(t, path, 1234)
				testns.Must(t, os.Chmod(path, 0o640))
				before := n.tree()
				n.succeed("install", "--mode", mode, "--cri-socket", filepath.Join(n.dir, "none"))
				n.calls(tt.network, want)
				n.calls("other", "a")
				n.owned(path, before)
				n.again(mode)
				n.succeed("uninstall", "--force")
				if diff := cmp.Diff(before, n.tree()); diff != "" {
					t.Errorf("after uninstall (-before +after):\n%s", diff)
				}
			})
		}
	}
}

// owned wants the file to have the mode and owner that it had.
func (n *node) owned(path string, before map[string]string) {
	n.Helper()
	name, _ := filepath.Rel(n.dir, path)
	was, is := strings.Fields(before[name]), strings.Fields(n.tree()[name])
	if was[0] != is[0] || was[1] != is[1] {
		n.Errorf("mode and owner of %s: got %v, want %v", name, is[:2], was[:2])
	}
}

// again wants another install to change nothing, and to say nothing.
func (n *node) again(mode string) {
	n.Helper()
	before := n.inodes()
	if says := n.succeed("install", "--mode", mode); says != "" {
		n.Errorf("installed again: got %q, want nothing", says)
	}
	if diff := cmp.Diff(before, n.inodes()); diff != "" {
		n.Errorf("installed again (-before +after):\n%s", diff)
	}
}

// inodes returns what tells that a file was written.
func (n *node) inodes() testnode.Tree {
	n.Helper()
	return testnode.Identities(n, n.dir)
}

// A network has the plugin in one way only.
func TestSwitch(t *testing.T) {
	n := newNode(t, map[string]string{"10.conflist": list("net", "bridge", "tuning")})
	before := n.tree()
	for range 2 {
		n.succeed("install", "--mode", "conflist")
		n.calls("net", "bridge bpffs tuning")
		n.succeed("install", "--mode", "drop-in", "--lose-paths")
		n.calls("net", "bridge tuning bpffs")
	}
	n.succeed("install", "--mode", "conflist")
	n.calls("net", "bridge bpffs tuning")
	n.succeed("uninstall", "--force")
	if diff := cmp.Diff(before, n.tree()); diff != "" {
		t.Errorf("after uninstall (-before +after):\n%s", diff)
	}
}

// Of several drop-in files one is enough, and a binary of another user is none.
func TestInstallTidies(t *testing.T) {
	n := newNode(t, map[string]string{"10.conflist": list("net", "bridge"), "net/10-a.conf": `{"type":"bpffs","mapPrefix":"x"}`, "net/20-b.conf": `{"mapPrefix": "x", "type": "bpffs"}`})
	n.succeed("install", "--mode", "drop-in")
	n.calls("net", "bridge bpffs")
	if got := n.tree()["net.d/net/10-a.conf"]; !strings.Contains(got, `"mapPrefix":"x"`) {
		t.Errorf("the first drop-in file: got %q, want it as it was", got)
	}
	testns.Must(t, os.Chown(n.bin+"/bpffs", 65534, -1))
	n.succeed("install")
	if got := n.tree()["bin/bpffs"]; !strings.Contains(got, " 0:0 ") {
		t.Errorf("the binary: got %.80q, want root's", got)
	}
}

// Of configurations that differ none is taken away: it may be the one that is meant.
func TestDifferentConfigurations(t *testing.T) {
	with := func(keys string) string {
		return strings.Replace(list("net", "bridge", "bpffs"), `"bpffs"`, `"bpffs"`+keys, 1)
	}
	for name, tt := range map[string]struct {
		files map[string]string
		says  []string
	}{
		"two drop-in files": {map[string]string{"10.conflist": list("net", "bridge"), "net/a.conf": `{"type":"bpffs"}`, "net/bpffs.conf": `{"type":"bpffs","mapPrefix":"x"}`}, []string{"net/a.conf", "net/bpffs.conf"}},
		"a list and a file": {map[string]string{"10.conflist": with(""), "net/zz.conf": `{"type":"bpffs","mapPrefix":"x"}`}, []string{"10.conflist", "net/zz.conf"}},
		"two in a list":     {map[string]string{"10.conflist": strings.Replace(list("net", "bridge", "bpffs", "bpffs"), `"bpffs"`, `"bpffs", "mapPrefix": "x"`, 1)}, []string{"10.conflist"}},
		"a chain of Multus": {map[string]string{"10.conf": `{"cniVersion":"1.0.0","name":"net","type":"bridge"}`, "vendor-cni-chain/a.conf": `{"type":"bpffs","mapPrefix":"x"}`, "vendor-cni-chain/b.conf": `{"type":"bpffs"}`}, []string{"chain/a.conf", "chain/b.conf"}},
	} {
		for _, mode := range []string{"auto", "conflist", "drop-in"} {
			args := []string{"--mode", mode}
			if name == "a chain of Multus" {
				args = []string{"--network", "vendor-cni-chain", "--mode", "drop-in"}
			}
			n := newNode(t, tt.files)
			before := n.tree()
			n.fail(2, append(tt.says, "--plugin-conf"), "install", args...)
			if diff := cmp.Diff(before, n.tree()); diff != "" {
				t.Errorf("%s, %s (-before +after):\n%s", name, mode, diff)
			}
			n.succeed("install", append(args, "--plugin-conf", pluginConf)...)
			n.succeed("install", args...)
		}
	}
}

// A configuration that the network has is refused, too, if the plugin refuses it: every
// pod fails with it.
func TestRefusedConfigurationStays(t *testing.T) {
	for name, conf := range map[string]string{
		"a root": `"bpfRoot": 7`, "a map": `"maps": [{"name": "a.b"}]`, "a type": `"maps": [{"name": "a_", "type": "none"}]`,
	} {
		inlined := strings.Replace(list("net", "bridge", "bpffs"), `"bpffs"`, `"bpffs", `+conf, 1)
		for _, files := range []map[string]string{
			{"10.conflist": inlined}, {"10.conflist": list("net", "bridge"), "net/bpffs.conf": `{"type":"bpffs", ` + conf + `}`},
		} {
			n := newNode(t, files)
			before := n.tree()
			n.fail(2, []string{"refuses its configuration", "--plugin-conf"}, "install")
			n.fail(2, []string{"refuses its configuration"}, "install", "--watch")
			if diff := cmp.Diff(before, n.tree()); diff != "" {
				t.Errorf("%s (-before +after):\n%s", name, diff)
			}
			n.succeed("install", "--plugin-conf", pluginConf)
			n.succeed("install")
		}
	}
}

// The plugin's own configuration arrives, and a new one replaces it.
func TestPluginConf(t *testing.T) {
	for _, mode := range []string{"conflist", "drop-in"} {
		t.Run(mode, func(t *testing.T) {
			n := newNode(t, map[string]string{"10.conflist": list("net", "bridge")})
			for _, name := range []string{"policy_", "other_"} {
				n.write("conf.json", `{"type": "bpffs", "maps": [{"name": "`+name+`"}]}`)
				n.succeed("install", "--mode", mode, "--plugin-conf", n.dir+"/conf.json")
				n.calls("net", "bridge bpffs")
				n.succeed("install") // while no runtime answers that changes nothing
				if got := n.tree()["net.d/net/bpffs.conf"]; (got != "") != (mode == "drop-in") {
					t.Errorf("the drop-in file with the mode %s: got %q, want one only with drop-in", mode, got)
				}
				n.succeed("install", "--mode", "conflist")
				n.succeed("install", "--mode", mode)
				if all := strings.Join(values(n.tree()), " "); strings.Count(all, name) != 2 {
					t.Errorf("configuration: got %s, want %q in it once", all, name)
				}
			}
		})
	}
}

func values(m map[string]string) (all []string) {
	for _, v := range m {
		all = append(all, v)
	}
	return all
}

// The directory of a network stays if it is not ours, or something else is in it.
func TestForeignDropIns(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"empty":   {"net/x": ""},
		"in use":  {"net/50-other.conf": `{"type":"other"}`},
		"by hand": {"net/10-mine.conf": `{"type":"bpffs","maps":[]}`},
	} {
		t.Run(name, func(t *testing.T) {
			files["10.conflist"] = list("net", "bridge")
			n := newNode(t, files)
			if name == "empty" {
				testns.Must(t, os.Remove(n.conf+"/net/x"))
			}
			n.succeed("install", "--mode", "drop-in")
			if got := n.types("net"); strings.Count(got, "bpffs") != 1 {
				t.Errorf("plugins: got %q, want bpffs once", got)
			}
			n.succeed("uninstall", "--force")
			delete(files, "net/x")
			delete(files, "net/10-mine.conf")
			want := newNode(t, files)
			testns.Must(t, os.MkdirAll(want.conf+"/net", 0o755))
			if diff := cmp.Diff(want.tree(), n.tree()); diff != "" {
				t.Errorf("after uninstall (-want +got):\n%s", diff)
			}
		})
	}
}
