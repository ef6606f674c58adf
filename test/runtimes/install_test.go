package runtimes

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
	"github.com/cni-bpffs/cni-bpffs/test/internal/plugintest"
)

// bpffsctl installs and uninstalls while the runtime runs, and while a pod does.

func TestInstall16(t *testing.T) {
	if onNode(t) {
		installed(t, newContainerd(t, "1.6"), "conflist", "auto")
	}
}

func TestInstall24(t *testing.T) {
	if onNode(t) {
		installed(t, newContainerd(t, "2.4"), "conflist", "drop-in", "auto")
	}
}

func installed(t *testing.T, rt *containerd, modes ...string) {
	t.Helper()
	works(t, rt.subject(), "bpffsctl install, seen without a restart: "+strings.Join(modes, ", "))
	works(t, rt.subject(), "pods that run when bpffsctl uninstalls can be deleted; their maps stay until GC")
	if err := os.Remove(cniBin + "/bpffs"); err != nil { // a link
		t.Fatal(err)
	}
	rt.network(t, bridgeOnly)
	for _, mode := range modes {
		bpffsctl(t, 0, "install", "--mode", mode, "--cri-socket", socket)
		_, err := os.Stat(confDir + "/" + network + "/bpffs.conf")
		if got, want := err == nil, rt.version == "2.4" && mode != "conflist"; got != want {
			t.Errorf("with %s, there is a drop-in file: got %v, want %v", mode, got, want)
		}
		p := podWith(t, rt, 1)
		bpffsctl(t, 1, "uninstall")
		without := podWith(t, rt, 0)
		without.end(t)
		p.end(t)
		left := endpoints(t)
		if len(left) != 1 {
			t.Errorf("with %s, endpoints of a deleted pod: got %d, want 1, for the documentation says that containerd calls who is configured now", mode, len(left))
		}
		bpffsctl(t, 1, "uninstall")
		release(t, left)
		bpffsctl(t, 0, "uninstall")
		if _, err := os.Stat(cniBin + "/bpffs"); err == nil {
			t.Errorf("the binary, uninstalled with %s: got one, want none", mode)
		}
		if now, err := os.ReadFile(confDir + "/10-runtimes.conflist"); err != nil || string(now) != bridgeOnly {
			t.Errorf("with %s, the network's file: got %s (%v), want %s", mode, now, err, bridgeOnly)
		}
	}
	nothingLeft(t)
}

// bpffsctl installs or uninstalls on the node and wants the exit code.
func bpffsctl(t *testing.T, want int, args ...string) {
	t.Helper()
	ctl(t, want, append(args, "--bin-dir", cniBin, "--conf-dir", confDir)...)
}

// ctl runs bpffsctl on the node, wants the exit code, and returns what it says.
func ctl(t *testing.T, want int, args ...string) string {
	t.Helper()
	a, err := plugintest.Run(exec.Command(bins+"/bpffsctl", args...))
	if err != nil || a.Status != want {
		t.Fatalf("bpffsctl %v: got %+v (%v), want exit code %d", args, a, err, want)
	}
	return a.Stdout + a.Stderr
}

// podWith makes pods until one has brought so many endpoints, and returns it:
// containerd takes a moment to see a change of the network.
func podWith(t *testing.T, rt *containerd, more int) (p *pod) {
	t.Helper()
	before := len(endpoints(t))
	waitFor(t, "containerd to see the change", func() bool {
		p = rt.newPod(t, "pod"+time.Now().Format("150405.000"))
		must(t, p.run)
		if len(endpoints(t)) == before+more {
			return true
		}
		p.end(t)
		return false
	})
	return p
}

// release gives the endpoints back, as GC would.
func release(t *testing.T, all map[string]bpffs.Endpoint) {
	t.Helper()
	records, err := bpffs.OpenEndpoints(t.Context(), bpfRoot)
	testns.Must(t, err)
	defer records.Close()
	for _, e := range all {
		testns.Must(t, records.Release(e.Attachment))
	}
}
