package install

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/containernetworking/cni/libcni"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	testnode "github.com/cni-bpffs/cni-bpffs/test/internal/node"
	"github.com/cni-bpffs/cni-bpffs/test/internal/plugintest"
)

// What is tested, relative to this directory.
const (
	program    = "../../bin/bpffsctl"
	plugin     = "../../bin/bpffs"
	pluginConf = "../../conf/bpffs.conf"
	lists      = "../../cmd/bpffsctl/internal/conflist/testdata"
)

// A node is the two directories that a runtime reads.
type node struct {
	testing.TB
	dir, bin, conf string
}

// newNode returns a node with the files below its configuration directory, and
// plugins of others.
func newNode(tb testing.TB, files map[string]string) *node {
	tb.Helper()
	testns.Need(tb)
	for _, path := range []string{program, plugin} {
		if _, err := os.Stat(path); err != nil {
			tb.Fatalf("%v; make build", err)
		}
	}
	dir := tb.TempDir()
	testns.Mount(tb, "tmpfs", dir, "mode=0755") // fsync(2) costs nothing there
	n := &node{TB: tb, dir: filepath.Join(dir, "node")}
	n.bin, n.conf = filepath.Join(n.dir, "bin"), filepath.Join(n.dir, "net.d")
	n.write("bin/bridge", "another plugin")
	testns.Must(tb, os.MkdirAll(n.conf, 0o755))
	for name, content := range files {
		n.write("net.d/"+name, content)
	}
	return n
}

// write makes a file in one step, as careful main plugins do.
func (n *node) write(name, content string) {
	n.Helper()
	path := filepath.Join(n.dir, name)
	testns.Must(n, os.MkdirAll(filepath.Dir(path), 0o755))
	testns.Must(n, os.WriteFile(path+".tmp", []byte(content), 0o644))
	testns.Must(n, os.Rename(path+".tmp", path))
}

// list returns a list of the network with these types of plugins.
func list(network string, types ...string) string {
	var plugins []string
	for _, t := range types {
		plugins = append(plugins, fmt.Sprintf("    {\n      %q: %q\n    }", "type", t))
	}
	return fmt.Sprintf("{\n  \"cniVersion\": \"1.0.0\",\n  \"name\": %q,\n  \"plugins\": [\n%s\n  ]\n}\n", network, strings.Join(plugins, ",\n"))
}

// command returns the command for this node.
func (n *node) command(command string, more ...string) *exec.Cmd {
	return exec.Command(program, append([]string{command, "--bin-dir", n.bin, "--conf-dir", n.conf}, more...)...)
}

// run returns what the command says, and its exit code.
func (n *node) run(command string, more ...string) (says string, code int) {
	n.Helper()
	a, err := plugintest.Run(n.command(command, more...))
	testns.Must(n, err)
	return a.Stdout + a.Stderr, a.Status
}

// succeed wants the command to end with 0, and returns what it says.
func (n *node) succeed(command string, more ...string) string {
	n.Helper()
	says, code := n.run(command, more...)
	if code != 0 {
		n.Fatalf("%s %v: got exit code %d, want 0: %s", command, more, code, says)
	}
	return says
}

// fail wants the command to end with the code and to say all the words.
func (n *node) fail(want int, words []string, command string, more ...string) {
	n.Helper()
	says, code := n.run(command, more...)
	if code != want {
		n.Errorf("%s %v: got exit code %d, want %d: %s", command, more, code, want, says)
	}
	for _, word := range words {
		if !strings.Contains(says, word) {
			n.Errorf("%s %v: got %q, want %q in it", command, more, says, word)
		}
	}
}

// types returns the plugins of the network that a runtime calls.
func (n *node) types(network string) string {
	n.Helper()
	list, err := libcni.LoadNetworkConf(n.conf, network)
	if err != nil {
		return err.Error()
	}
	var types []string
	for _, p := range list.Plugins {
		types = append(types, p.Network.Type)
	}
	return strings.Join(types, " ")
}

// calls wants the runtime to call these plugins for the network.
func (n *node) calls(network, want string) {
	n.Helper()
	if got := n.types(network); got != want {
		n.Errorf("plugins of the network %s: got %q, want %q", network, got, want)
	}
}

// eventually waits for the runtime to call these plugins.
func (n *node) eventually(network, want string) {
	n.Helper()
	n.until(fmt.Sprintf("%s to have the plugins %q", network, want), func() bool { return n.types(network) == want })
}

// isSettled reports that nobody is about to change anything.
func (n *node) isSettled() bool {
	for path := range n.tree() {
		if strings.Contains(path, ".bpffs-install") {
			return false
		}
	}
	return true
}

func (n *node) until(what string, is func() bool) {
	n.Helper()
	for end := time.Now().Add(time.Minute); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			n.Fatalf("waited in vain for %s; there are %v", what, n.tree())
		}
	}
}

// tree returns all that is on the node: mode, owner and content by path.
func (n *node) tree() testnode.Tree {
	n.Helper()
	all, err := testnode.ReadTree(n.dir, describe)
	testns.Must(n, err)
	return all
}

func describe(path string, fi fs.FileInfo) (string, error) {
	st := fi.Sys().(*syscall.Stat_t)
	about := fmt.Sprintf("%v %d:%d", fi.Mode(), st.Uid, st.Gid)
	if !fi.Mode().IsRegular() {
		return about, nil
	}
	data, err := os.ReadFile(path)
	if len(data) > 10000 {
		data = fmt.Appendf(nil, "%d bytes like ours: %v", len(data), bytes.Equal(data, ours()))
	}
	return about + " " + string(data), err
}

func ours() []byte {
	data, _ := os.ReadFile(plugin)
	return data
}
