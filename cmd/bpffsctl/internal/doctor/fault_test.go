package doctor

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

// A fault is made for real; then the check must say so and its cure mend it.
type fault struct {
	name   string
	make   func(r *rig)
	check  string
	status Status
	says   string       // a part of the detail
	cure   string       // a part of the cure; ROOT, MAPS, ID, BIN, NETS and SOCKET stand for those of the node
	mend   func(r *rig) // nil: type what cure is
}

func (f fault) test(t *testing.T) {
	t.Helper()
	r := newRig(t)
	if bad := faulty(r.run(t)); len(bad) > 0 {
		t.Fatalf("before the fault: %+v", bad)
	}
	f.make(r)
	names := strings.NewReplacer("ROOT", r.Root, "BIN", r.BinDir, "NETS", r.ConfDir, "SOCKET", r.CRISocket, "MAPS", r.dir(t).Path(), "ID", fmt.Sprintf("%05d", r.id))
	says, cure := names.Replace(f.says), names.Replace(f.cure)
	found := faulty(of(r.run(t), f.check))
	if len(found) == 0 {
		t.Fatalf("%s finds nothing wrong", f.check)
	}
	if got := found[0]; got.Status != f.status || !strings.Contains(got.Detail, says) || !strings.Contains(got.Cure, cure) {
		t.Errorf("%s: got %+v\nwant %s, a detail with %q and a cure with %q", f.check, got, f.status, says, cure)
	}
	if f.mend != nil {
		f.mend(r)
	} else {
		typed(t, cure)
	}
	if bad := faulty(of(r.run(t), f.check)); len(bad) > 0 {
		t.Errorf("%s after the cure: %+v", f.check, bad)
	}
}

// typed runs a line as a person would at a prompt.
func typed(t *testing.T, line string) {
	t.Helper()
	shell(t, line)
}

func shell(t *testing.T, line string) string {
	t.Helper()
	out, err := exec.Command("sh", "-c", line).CombinedOutput()
	if err != nil {
		t.Errorf("%s: %v: %s", line, err, out)
	}
	return string(out)
}
