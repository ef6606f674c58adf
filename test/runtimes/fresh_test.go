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

// TestFreshNode types what the README says on a node that has Debian's containerd and
// network plugins and nothing else, and wants a pod with maps.
func TestFreshNode(t *testing.T) {
	if !onNode(t) {
		return
	}
	freshNode(t)
	rt := newContainerd(t, "1.6", cniBin, debPlugin, confDir, "/etc/cni/net.d")
	testns.Must(t, os.Symlink(socket, "/run/containerd/containerd.sock"))
	works(t, rt.subject(), "the README's commands on a fresh node: a pod with maps, which bpffsctl list shows")
	p := rt.newPod(t, "first")
	for _, command := range readmeCommands(t) {
		if strings.Contains(command, "bpffsctl list") {
			waitFor(t, "containerd to see the network", func() bool { ready, _ := rt.networkStatus(t); return ready })
			must(t, p.run)
		}
		cmd := exec.Command("sh", "-c", strings.ReplaceAll(command, "sudo ", ""))
		cmd.Dir = top
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v: %s", command, err, out)
		}
		row := regexp.MustCompile(`(?m)^\d{5} +bpffs-demo +default/first +[0-9a-f]{12} +eth0 +percpu_array:2,reserved:1 .* ok$`)
		if strings.Contains(command, "bpffsctl list") && !row.Match(out) {
			t.Errorf("%s: got %s, want a line that matches %v", command, out, row)
		}
	}
	if _, err := os.Stat(debPlugin + "/bpffs"); err != nil {
		t.Errorf("the plugin: got %v, want it where Debian's containerd looks", err)
	}
	p.end(t)
	ctl(t, 0, "uninstall")
	if _, err := os.Stat(debPlugin + "/bpffs"); err == nil {
		t.Error("the plugin after uninstall: got one, want none")
	}
}

// freshNode puts copies in the place of the directories that the README's commands
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

// readmeCommands returns the commands of the README's section "Use it" without the one
// that builds, which was done.
func readmeCommands(t *testing.T) (commands []string) {
	t.Helper()
	text, err := os.ReadFile(top + "/README.md")
	testns.Must(t, err)
	_, section, _ := strings.Cut(string(text), "\n## Use it\n")
	_, section, _ = strings.Cut(section, "```\n")
	block, _, _ := strings.Cut(section, "```")
	for line := range strings.Lines(block) {
		if line = strings.TrimSpace(line); line != "make build" {
			commands = append(commands, line)
		}
	}
	if len(commands) < 3 {
		t.Fatalf("README.md, Use it: got %q, want the commands that install and look", commands)
	}
	return commands
}
