package install

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// What cannot be done is said, and nothing has changed but perhaps the binary.
func TestRefused(t *testing.T) {
	half, single := `{"name": "net", "plug`, `{"name": "net", "cniVersion": "1.0.0", "type": "bridge"}`
	inlined := strings.Replace(list("net", "bridge"), "{", `{"loadOnlyInlinedPlugins": true,`, 1)
	for _, tt := range []struct {
		name  string
		files map[string]string
		args  string
		says  []string
	}{
		{"no main plugin", nil, "--wait=false", []string{"no main plugin"}},
		{"ours alone", map[string]string{"10.conflist": list("net", "bpffs")}, "--wait=false", []string{"no main plugin"}},
		{"another network", map[string]string{"10.conflist": list("net", "bridge")}, "--wait=false --network other", []string{"the network other", "no main plugin", "the networks are [net]", "bpffsctl doctor"}},
		{"half a file", map[string]string{"10.conflist": half}, "--wait=false", []string{"10.conflist", "not a valid", "bpffsctl doctor"}},
		{"nobody came", nil, "--timeout 50ms", []string{"no main plugin", "50ms"}},
		{"a single plugin", map[string]string{"10.conf": single}, "", []string{"10.conf", "single plugin", ".conflist"}},
		{"drop-ins forbidden", map[string]string{"10.conflist": inlined}, "--mode drop-in", []string{"10.conflist", "loadOnlyInlinedPlugins", "--mode conflist"}},
		{"a network that cannot be a directory", map[string]string{"10.conflist": list("../net", "bridge")}, "--mode drop-in", []string{`"../net"`}},
		{"another plugin's drop-in", map[string]string{"10.conflist": list("net", "bridge"), "net/bpffs.conf": `{"type":"x"}`}, "--mode drop-in", []string{"net/bpffs.conf", "another"}},
		{"no mode", nil, "--mode other", []string{"--mode", "auto, drop-in or conflist"}},
		{"no plugin", nil, "--from /bin/sh", []string{"/bin/sh", "not the plugin"}},
		{"the wrong program", nil, "--from " + program, []string{"not the plugin"}},
		{"no configuration", nil, "--plugin-conf /none", []string{"/none"}},
		{"another's configuration", nil, "--plugin-conf /proc/self/comm", []string{"the plugin's configuration"}},
		{"a configuration that the plugin refuses", map[string]string{"10.conflist": list("net", "bridge"), "../conf.json": `{"type":"bpffs","maps":[{"name":"a.b"}]}`}, "--plugin-conf CONF", []string{"refuses its configuration", "maps[0].name"}},
		{"optional maps without the capability", map[string]string{"10.conflist": list("net", "bridge"), "../conf.json": optional("portMappings")}, "--plugin-conf CONF", []string{"refuses its configuration", `add "capabilities": {"io.kubernetes.cri.pod-annotations": true}`}},
		{"a directory where the plugin is to be", map[string]string{"10.conflist": list("net", "bridge"), "../bin/bpffs/x": ""}, "", []string{"bin/bpffs", "directory", "move it away"}},
		{"another's in the place of what is written", map[string]string{"10.conflist": list("net", "bridge"), ".bpffs-install/x": ""}, "", []string{"not empty", "mv ", "/net.d/.bpffs-install.other"}},
		{"no directory for plugins", nil, "--bin-dir /none", []string{"/none"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := newNode(t, tt.files)
			before := n.tree()
			n.fail(2, tt.says, "install", strings.Fields(strings.Replace(tt.args, "CONF", n.dir+"/conf.json", 1))...)
			after := n.tree()
			delete(before, "bin/bpffs")
			delete(after, "bin/bpffs")
			if diff := cmp.Diff(before, after); diff != "" {
				t.Errorf("(-before +after):\n%s", diff)
			}
		})
	}
}

// optional returns a configuration of bpffs with an optional map and a capability.
func optional(capability string) string {
	return fmt.Sprintf(`{"type":"bpffs","capabilities":{%q:true},"maps":[{
		"name":"a_","type":"hash","keySize":4,"valueSize":4,"maxEntries":1,"optional":{"maxEntries":9}}]}`, capability)
}

// Maps for which pods can ask are installed with the capability that they need.
func TestOptionalMaps(t *testing.T) {
	for _, mode := range []string{"conflist", "drop-in"} {
		t.Run(mode, func(t *testing.T) {
			n := newNode(t, map[string]string{"10.conflist": list("net", "bridge"), "../conf.json": optional("io.kubernetes.cri.pod-annotations")})
			n.succeed("install", "--mode", mode, "--plugin-conf", n.dir+"/conf.json")
			n.calls("net", "bridge bpffs")
		})
	}
}

// A link leads to what somebody else manages, and from within a container perhaps
// elsewhere.
func TestLink(t *testing.T) {
	n := newNode(t, nil)
	n.write("managed/net", list("net", "bridge"))
	testns.Must(t, os.Symlink(n.dir+"/managed/net", n.conf+"/10.conflist"))
	before := n.tree()
	n.fail(2, []string{"10.conflist", "symbolic link", "--mode drop-in"}, "install", "--mode", "conflist")
	n.calls("net", "bridge")
	n.succeed("install", "--mode", "drop-in")
	n.calls("net", "bridge bpffs")
	n.succeed("uninstall", "--force")
	if diff := cmp.Diff(before, n.tree()); diff != "" {
		t.Errorf("after uninstall (-before +after):\n%s", diff)
	}
}

// Where nothing can be written the error says where, and where nothing needs to
// be written there is none.
func TestReadOnly(t *testing.T) {
	for _, dir := range []string{"bin", "net.d"} {
		t.Run(dir, func(t *testing.T) {
			n := newNode(t, map[string]string{"10.conflist": list("net", "bridge")})
			path := filepath.Join(n.dir, dir)
			protect := func() {
				testns.Bind(t, path, path)
				testns.Must(t, syscall.Mount("", path, "", syscall.MS_REMOUNT|syscall.MS_BIND|syscall.MS_RDONLY, ""))
			}
			protect()
			for _, mode := range []string{"conflist", "drop-in"} {
				n.fail(2, []string{path, "writable", "read-only"}, "install", "--mode", mode)
			}
			testns.Must(t, syscall.Unmount(path, syscall.MNT_DETACH))
			n.calls("net", "bridge")
			n.succeed("install")
			protect()
			n.again("conflist")
		})
	}
}

// The binary is replaced while it runs, and goes on as it was.
func TestBusy(t *testing.T) {
	n := newNode(t, map[string]string{"10.conflist": list("net", "bridge")})
	n.write("from", string(ours())+"\n")
	testns.Must(t, os.Chmod(n.dir+"/from", 0o755))
	n.succeed("install", "--from", n.dir+"/from")
	cmd := exec.Command(n.bin + "/bpffs")
	cmd.Env = []string{"CNI_COMMAND=STATUS", "CNI_PATH=/"}
	stdin, err := cmd.StdinPipe()
	testns.Must(t, err)
	testns.Must(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill() })
	if f, err := os.OpenFile(n.bin+"/bpffs", os.O_WRONLY, 0); err == nil {
		f.Close()
		t.Fatal("writing to the running binary: got success, want an error, for else this test shows nothing")
	}
	n.succeed("install")
	if !strings.Contains(n.tree()["bin/bpffs"], "like ours: true") {
		t.Errorf("the binary: got %q, want ours", n.tree()["bin/bpffs"])
	}
	_, err = io.WriteString(stdin, `{"cniVersion": "1.1.0", "name": "n", "type": "bpffs", "bpfRoot": "`+testns.BPFFS(t)+`"}`)
	testns.Must(t, err)
	testns.Must(t, stdin.Close())
	testns.Must(t, cmd.Wait())
}

// A change of the mode that fails leaves the plugin where it was.
func TestChangeThatFails(t *testing.T) {
	n := newNode(t, map[string]string{"10.conflist": list("net", "bridge")})
	n.succeed("install", "--mode", "conflist")
	n.write("net.d/net", "no directory")
	n.fail(2, nil, "install", "--mode", "drop-in")
	testns.Must(t, os.Remove(n.conf+"/net"))
	n.calls("net", "bridge bpffs")
	n.succeed("install", "--mode", "drop-in")
	testns.Must(t, os.Rename(n.conf+"/10.conflist", n.dir+"/managed"))
	testns.Must(t, os.Symlink(n.dir+"/managed", n.conf+"/10.conflist"))
	n.fail(2, []string{"symbolic link"}, "install", "--mode", "conflist")
	n.calls("net", "bridge bpffs")
}

// Where no directory of networks is, networks elsewhere may name the binary.
func TestUninstallInTheWrongPlace(t *testing.T) {
	n := newNode(t, map[string]string{"10.conflist": list("net", "bridge")})
	n.succeed("install")
	testns.Must(t, os.Rename(n.conf, n.dir+"/elsewhere"))
	n.fail(1, []string{"the plugin's binary stays", "--conf-dir"}, "uninstall")
	n.fail(1, []string{"the plugin's binary stays", "--conf-dir"}, "uninstall", "--keep-binary")
	if _, err := os.Stat(n.bin + "/bpffs"); err != nil {
		t.Errorf("the binary: got %v, want it to stay", err)
	}
	n.succeed("uninstall", "--force")
	if _, err := os.Stat(n.bin + "/bpffs"); err == nil {
		t.Error("the binary after uninstall --force: got one, want none")
	}
}

// A link to nothing yet is waited for like a file that is being written.
func TestLinkToNothingYet(t *testing.T) {
	n := newNode(t, nil)
	testns.Must(t, os.Symlink(n.dir+"/later", n.conf+"/10.conflist"))
	n.fail(2, []string{"10.conflist", "it does not exist, or its target does not"}, "install", "--mode", "drop-in", "--timeout", "100ms")
	n.write("later", list("net", "bridge"))
	n.succeed("install", "--mode", "drop-in")
	n.calls("net", "bridge bpffs")
}
