package runtimes

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// TestFreshNode types what the quickstart says on a node that has Debian's containerd
// and network plugins and nothing else: a pod with maps, an upgrade under it, removal.
func TestFreshNode(t *testing.T) {
	if !onNode(t) {
		return
	}
	freshNode(t)
	rt := newContainerd(t, "1.6", cniBin, debPlugin, confDir, "/etc/cni/net.d")
	testns.Must(t, os.Symlink(socket, "/run/containerd/containerd.sock"))
	works(t, rt.subject(), "the quickstart's commands on a fresh node: a pod with maps, which bpffsctl list shows")
	p := rt.newPod(t, "first")
	for _, command := range nodeCommands(t) {
		typed(t, p, command)
	}
	if _, err := os.Stat(debPlugin + "/bpffs"); err == nil {
		t.Error("the plugin after the last command: got one, want none")
	}
}

// typed does what a command of the quickstart does: kubectl is the pod, and what
// fetches and builds was done.
func typed(t *testing.T, p *pod, command string) {
	t.Helper()
	switch name, rest, _ := strings.Cut(command, " "); {
	case name == "git" || name == "make" || name == "cd":
	case strings.HasPrefix(command, "kubectl run first "):
		waitFor(t, "containerd to see the network", func() bool { ready, _ := p.rt.networkStatus(t); return ready })
		must(t, p.run)
	case command == "kubectl delete pod first":
		p.end(t)
	case name == "sudo":
		cmd := exec.Command("sh", "-c", rest)
		cmd.Dir = top
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v: %s", command, err, out)
		}
		checkTyped(t, command, string(out))
	default:
		t.Fatalf("docs/quickstart.md: got the command %q, want one that this test knows", command)
	}
}

// checkTyped wants the plugin where Debian's containerd looks, and the pod with its
// maps.
func checkTyped(t *testing.T, command, out string) {
	t.Helper()
	row := regexp.MustCompile(`(?m)^\d{5} +bpffs-demo +default/first +[0-9a-f]{12} +eth0 +percpu_array:2,reserved:1 .* ok$`)
	if strings.Contains(command, "bpffsctl list") && !row.MatchString(out) {
		t.Errorf("%s: got %s, want a line that matches %v", command, out, row)
	}
	if _, err := os.Stat(debPlugin + "/bpffs"); err != nil && strings.Contains(command, "bpffsctl install") {
		t.Errorf("%s: got %v, want the plugin where Debian's containerd looks", command, err)
	}
}

// freshNode puts copies in the place of the directories that the quickstart's commands
// change, without networks.
func freshNode(t *testing.T) {
	t.Helper()
	copyInPlace(t, "/etc")
	copyInPlace(t, debPlugin)
	testns.Must(t, os.RemoveAll("/etc/cni"))
	testns.Must(t, os.RemoveAll("/etc/containerd"))
	testns.Must(t, os.MkdirAll("/run/containerd", 0o711))
}

// copyInPlace puts a copy in the place of a directory.
func copyInPlace(t *testing.T, dir string) {
	t.Helper()
	place := filepath.Join("/run/copies", dir)
	testns.Must(t, os.MkdirAll(filepath.Dir(place), 0o755))
	mustRun(t, "cp", "-a", "-T", dir, place)
	testns.Bind(t, place, dir)
}
