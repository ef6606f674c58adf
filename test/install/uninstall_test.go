package install

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/test/internal/plugintest"
)

// A pod that runs when the plugin is uninstalled can be deleted: its plugin stays
// until then, and only then.
func TestUninstallUnderPods(t *testing.T) {
	for _, mode := range []string{"conflist", "drop-in"} {
		t.Run(mode, func(t *testing.T) {
			n := newNode(t, map[string]string{"10.conflist": list("net", "bridge")})
			root := testns.BPFFS(t)
			n.write("conf.json", `{"type": "bpffs", "bpfRoot": "`+root+`"}`)
			n.succeed("install", "--mode", mode, "--plugin-conf", n.dir+"/conf.json")
			n.call("ADD", root)
			kept := []string{"binary stays", "1 endpoint is", "bpffsctl gc", "uninstall --force"}
			n.fail(1, kept, "uninstall")
			n.calls("net", "bridge")
			n.fail(1, kept, "uninstall", "--root", root) // no configuration says it any more
			n.call("DEL", root)
			n.succeed("uninstall", "--root", root)
			if _, err := os.Stat(n.bin + "/bpffs"); err == nil {
				t.Error("the binary when there is no pod any more: got one, want none")
			}
			n.succeed("uninstall", "--root", root)
		})
	}
}

// call has the installed plugin make or delete a pod's endpoint.
func (n *node) call(verb, root string) {
	n.Helper()
	p := plugintest.Plugin{Argv: []string{n.bin + "/bpffs"}}
	p.Succeed(n, verb, plugintest.Conf(plugintest.Keys{"bpfRoot": root, "maps": nil}))
}

// The binary stays where something else may need it, and where that cannot be
// known.
func TestUninstallKeeps(t *testing.T) {
	root := testns.BPFFS(t)
	for _, tt := range []struct {
		name  string
		files map[string]string
		args  []string
		code  int
		says  []string
	}{
		{"no bpffs", nil, []string{}, 1, []string{"found no bpffs, ", "/sys/fs/bpf", "--force"}},
		{"a list of its own", map[string]string{"20.conflist": list("own", "bpffs")}, []string{"--root", root}, 1, []string{"still named in", "20.conflist", "--force"}},
		{"another network's list", map[string]string{"20.conflist": list("own", "a", "bpffs")}, []string{"--network", "net", "--root", root}, 1, []string{"20.conflist"}},
		{"another network's drop-in", map[string]string{"own/x.conf": `{"type":"bpffs"}`}, []string{"--network", "net", "--root", root}, 1, []string{"own/x.conf"}},
		{"half a file", map[string]string{"20.conflist": "{"}, []string{"--root", root}, 2, []string{"20.conflist", "binary stays", "--force"}},
		{"asked to", nil, []string{"--keep-binary"}, 0, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := newNode(t, map[string]string{"10.conflist": list("net", "bridge")})
			n.succeed("install")
			for name, content := range tt.files {
				n.write("net.d/"+name, content)
			}
			n.fail(tt.code, tt.says, "uninstall", tt.args...)
			if got := n.tree()["bin/bpffs"]; !strings.Contains(got, "like ours: true") {
				t.Errorf("the binary: got %q, want ours", got)
			}
			if got := n.tree()["net.d/10.conflist"]; !strings.HasSuffix(got, list("net", "bridge")) {
				t.Errorf("the network's list: got %q, want that of its main plugin", got)
			}
		})
	}
	n := newNode(t, map[string]string{"10.conflist": list("net", "bridge"), "20.conflist": list("own", "a", "bpffs")})
	n.succeed("install")
	n.succeed("uninstall", "--root", root)
	n.calls("own", "a")
	n.write("net.d/30.conflist", "{")
	n.succeed("install")
	n.fail(2, []string{"30.conflist"}, "uninstall", "--force")
	if _, err := os.Stat(n.bin + "/bpffs"); err == nil {
		t.Error("the binary after uninstall --force beside half a file: got one, want none")
	}
}

// Every network can have a root of its own, and endpoints there.
func TestUninstallWithSeveralRoots(t *testing.T) {
	empty, used := testns.BPFFS(t), testns.BPFFS(t)
	with := func(network, root string) string {
		return strings.Replace(list(network, "bridge", "bpffs"), `"bpffs"`, `"bpffs", "bpfRoot": "`+root+`"`, 1)
	}
	n := newNode(t, map[string]string{"10.conflist": with("one", empty), "20.conflist": with("two", used)})
	n.succeed("install", "--network", "one")
	n.call("ADD", used)
	n.fail(1, []string{"1 endpoint is", used, " --network net "}, "uninstall")
	n.fail(1, []string{"1 endpoint is", used}, "uninstall", "--root", used)
	n.call("DEL", used)
	n.succeed("uninstall", "--root", used)
}

// What is mounted over the records hides them. Then nothing is changed, for the pods
// need the plugin when it is unmounted.
func TestUninstallUnderAMount(t *testing.T) {
	for _, covered := range []string{"cni", "cni/endpoints", "cni/attachments"} {
		for _, fs := range []string{"tmpfs", "bpf"} {
			t.Run(covered+"/"+fs, func(t *testing.T) {
				root := testns.BPFFS(t)
				n := newNode(t, map[string]string{"10.conflist": list("net", "bridge")})
				n.write("conf.json", `{"type": "bpffs", "bpfRoot": "`+root+`"}`)
				n.succeed("install", "--plugin-conf", n.dir+"/conf.json")
				n.call("ADD", root)
				before := n.tree()
				testns.Mount(t, fs, root+"/"+covered, "")
				n.fail(2, []string{root, "binary stays", "umount"}, "uninstall")
				if diff := cmp.Diff(before, n.tree()); diff != "" {
					t.Errorf("uninstall changed something (-before +after):\n%s", diff)
				}
				testns.UnmountAll(t, root+"/"+covered)
				n.fail(1, []string{"1 endpoint is recorded at " + root}, "uninstall")
				n.calls("net", "bridge")
			})
		}
	}
}
