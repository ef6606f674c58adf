package install

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	testnode "github.com/cni-bpffs/cni-bpffs/test/internal/node"
	"github.com/cni-bpffs/cni-bpffs/test/internal/plugintest"
)

// unreadable returns what makes a drop-in file that cannot be read, by name.
func unreadable() map[string]func(path string) error {
	return map[string]func(path string) error{
		"half written":          func(path string) error { return os.WriteFile(path, []byte(`{"type":"bpffs",`), 0o644) },
		"empty":                 func(path string) error { return os.WriteFile(path, nil, 0o644) },
		"a pipe":                func(path string) error { return syscall.Mkfifo(path, 0o644) },
		"a link to nothing":     func(path string) error { return os.Symlink("none", path) },
		"a loop of links":       func(path string) error { return os.Symlink(filepath.Base(path), path) },
		"a link to a directory": func(path string) error { return os.Symlink("..", path) },
	}
}

// A directory in the place of our file is nobody's configuration, but no file can replace
// it.
func TestDirectoryInOurPlace(t *testing.T) {
	n := newNode(t, map[string]string{"10.conflist": list("net", "bridge"), "net/bpffs.conf/x": "", "net/50-other.conf/x": ""})
	n.write("bin/bpffs", string(ours()))
	n.stays(n.conf+"/net/bpffs.conf", "install", "--mode", "drop-in")
	n.stays(n.conf+"/net/bpffs.conf", "install", "--mode", "drop-in", "--plugin-conf", pluginConf)
	n.succeed("install")
	n.calls("net", "bridge bpffs")
	n.succeed("uninstall", "--root", testns.BPFFS(t))
	if got := n.tree(); got["net.d/net/bpffs.conf/x"] == "" || got["bin/bpffs"] != "" {
		t.Errorf("after uninstall: got %v, want the directory and no binary", got)
	}
}

// What cannot be read is not absent: it is named and stays, and so does the binary.
func TestUnreadableDropIn(t *testing.T) {
	for name, put := range unreadable() {
		for _, file := range []string{"bpffs.conf", "50-other.conf"} {
			t.Run(name+"/"+file, func(t *testing.T) {
				t.Parallel()
				n := newNode(t, map[string]string{"10.conflist": list("net", "bridge"), "net/x": ""})
				n.write("bin/bpffs", string(ours()))
				path := filepath.Join(n.conf, "net", file)
				testns.Must(t, put(path))
				n.stays(path, "install", "--wait=false")
				n.stays(path, "install", "--wait=false", "--mode", "conflist")
				n.stays(path, "uninstall", "--root", testns.BPFFS(t))
				if file != "bpffs.conf" {
					n.stays(path, "install", "--wait=false", "--plugin-conf", pluginConf)
					return
				}
				n.succeed("install", "--plugin-conf", pluginConf)
				n.calls("net", "bridge bpffs")
			})
		}
	}
}

// stays wants the command to fail, to name the path, and to change nothing.
func (n *node) stays(path, command string, more ...string) {
	n.Helper()
	before := n.tree()
	n.fail(2, []string{path}, command, more...)
	after := n.tree()
	for _, tree := range []testnode.Tree{before, after} {
		if strings.Contains(tree["bin/bpffs"], "like ours: true") {
			tree["bin/bpffs"] = "ours" // install may have put it there while it waits
		}
	}
	if diff := cmp.Diff(before, after); diff != "" {
		n.Errorf("%s %v changed something (-before +after):\n%s", command, more, diff)
	}
}

// A network's directory can be a link, which somebody else manages: what is behind it
// is seen, and nothing is written or removed there.
func TestLinkedDirectory(t *testing.T) {
	n := newNode(t, map[string]string{"10.conflist": list("net", "bridge"), "../managed/bpffs.conf": `{"type":"bpffs","mapPrefix":"x"}`})
	path := filepath.Join(n.conf, "net")
	testns.Must(t, os.Symlink("../managed", path))
	n.write("bin/bpffs", string(ours()))
	testns.Must(t, os.Chmod(n.bin+"/bpffs", 0o755))
	before := n.tree()
	if says := n.succeed("install"); says != "" {
		t.Errorf("install where all is in place: got %q, want nothing", says)
	}
	n.stays(path, "install", "--mode", "conflist")
	n.stays(path, "install", "--plugin-conf", pluginConf)
	n.stays(path, "uninstall", "--root", testns.BPFFS(t))
	testns.Must(t, os.Remove(n.dir+"/managed/bpffs.conf"))
	n.stays(path, "install", "--mode", "drop-in")
	n.succeed("install", "--mode", "conflist")
	n.calls("net", "bridge bpffs")
	n.succeed("uninstall", "--force")
	delete(before, "managed/bpffs.conf")
	delete(before, "bin/bpffs")
	if diff := cmp.Diff(before, n.tree()); diff != "" {
		t.Errorf("in the end (-before +after):\n%s", diff)
	}
}

// Without CAP_DAC_OVERRIDE, as in the pods of deploy, root cannot read what is another
// user's.
func TestAnothersDirectory(t *testing.T) {
	for _, dir := range []string{"net.d/net", "net.d", "net.d/net/bpffs.conf"} {
		t.Run(dir, func(t *testing.T) {
			n := newNode(t, map[string]string{"10.conflist": list("net", "bridge"), "net/bpffs.conf": `{"type":"bpffs"}`})
			n.write("bin/bpffs", string(ours()))
			path := filepath.Join(n.dir, dir)
			testns.Chown(t, path, 1234)
			testns.Must(t, os.Chmod(path, 0o700))
			before := n.tree()
			for _, words := range [][]string{{"install", "--wait=false"}, {"install", "--mode", "conflist", "--wait=false"}, {"uninstall", "--root", testns.BPFFS(t)}} {
				cmd := n.command(words[0], words[1:]...)
				bounded := exec.Command("setpriv", append([]string{"--bounding-set=-dac_override,-dac_read_search"}, cmd.Args...)...)
				a, err := plugintest.Run(bounded)
				testns.Must(t, err)
				if a.Status != 2 || !strings.Contains(a.Stderr, path) || !strings.Contains(a.Stderr, "permission denied") {
					t.Errorf("%v: got exit code %d, %q, want 2 and %s named", words, a.Status, a.Stderr, path)
				}
				if diff := cmp.Diff(before, n.tree()); diff != "" {
					t.Errorf("%v (-before +after):\n%s", words, diff)
				}
			}
		})
	}
}

// JSON that is no plugin's configuration, as Whereabouts keeps in a directory of its
// own, names no plugin and hinders nobody.
func TestOthersDirectories(t *testing.T) {
	n := newNode(t, map[string]string{
		"10.conflist": list("net", "bridge"), "whereabouts.d/whereabouts.conf": `{"datastore":"kubernetes"}`,
		"multus.d/multus.kubeconfig": "secret", "old/50-x.conf": `{"type":"x"}`,
	})
	before := n.tree()
	n.succeed("install")
	n.succeed("uninstall", "--root", testns.BPFFS(t))
	if diff := cmp.Diff(before, n.tree()); diff != "" {
		t.Errorf("(-before +after):\n%s", diff)
	}
}
