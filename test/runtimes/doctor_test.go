package runtimes

import (
	"encoding/json"
	"os/exec"
	"slices"
	"testing"

	"github.com/cni-bpffs/cni-bpffs/test/internal/plugintest"
)

func TestDoctor(t *testing.T) {
	if !onNode(t) {
		return
	}
	rt := newContainerd(t, "2.4")
	works(t, rt.subject(), "bpffsctl doctor finds nothing wrong while pods run; cniVersion 1.1.0")
	rt.network(t, conflist("1.1.0", ours))
	p := rt.newPod(t, "doctor")
	must(t, p.run)
	if bad := doctor(t, 0); len(bad) > 0 {
		t.Errorf("on a healthy node: got %q, want nothing", bad)
	}
	p.end(t)
	nothingLeft(t)
}

func TestDoctor16(t *testing.T) {
	if !onNode(t) {
		return
	}
	rt := newContainerd(t, "1.6")
	works(t, rt.subject(), "bpffsctl doctor says that cniVersion 1.1.0 is too new")
	rt.network(t, conflist("1.1.0", ours))
	if bad := doctor(t, 1); !slices.Equal(bad, []string{"failure cni-version"}) {
		t.Errorf("with a cniVersion that is too new: got %q, want a failure of cni-version", bad)
	}
	rt.network(t, conflist("1.0.0", ours))
	if bad := doctor(t, 0); len(bad) > 0 {
		t.Errorf("with cniVersion 1.0.0: got %q, want nothing", bad)
	}
}

// doctor runs bpffsctl doctor on the node, wants the exit code, and returns what
// is not ok.
func doctor(t *testing.T, want int) (bad []string) {
	t.Helper()
	a, err := plugintest.Run(exec.Command(bins+"/bpffsctl", "doctor", "--json", "--bin-dir", cniBin, "--conf-dir", confDir, "--cri-socket", socket))
	if err != nil || a.Status != want {
		t.Fatalf("bpffsctl doctor: got %+v (%v), want exit code %d", a, err, want)
	}
	var report struct {
		Findings []struct{ Check, Status, Detail string }
	}
	if err := json.Unmarshal([]byte(a.Stdout), &report); err != nil || len(report.Findings) == 0 {
		t.Fatalf("bpffsctl doctor: got %s (%v), want findings", a.Stdout, err)
	}
	for _, f := range report.Findings {
		if f.Status != "ok" {
			t.Logf("%s %s: %s", f.Status, f.Check, f.Detail)
			bad = append(bad, f.Status+" "+f.Check)
		}
	}
	return bad
}
