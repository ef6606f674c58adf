package doctor

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

// A fault is made for real; then the check must say so and its fix repair it.
type fault struct {
	name   string
	make   func(r *rig)
	check  string
	status Status
	says   string       // a part of the detail
	fix    string       // a part of the fix; ROOT, MAPS, ID, BIN, NETS and SOCKET stand for those of the node
	repair func(r *rig) // nil: type what fix is
}

func (f fault) test(t *testing.T) {
	t.Helper()
	r := newRig(t)
	if bad := faulty(r.run(t)); len(bad) > 0 {
		t.Fatalf("before the fault: %+v", bad)
	}
	f.make(r)
	names := strings.NewReplacer("ROOT", r.Root, "BIN", r.BinDir, "NETS", r.ConfDir, "SOCKET", r.CRISocket, "MAPS", r.dir(t).Path(), "ID", fmt.Sprintf("%05d", r.id))
	says, fix := names.Replace(f.says), names.Replace(f.fix)
	found := faulty(of(r.run(t), f.check))
	if len(found) == 0 {
		t.Fatalf("%s finds nothing wrong", f.check)
	}
	if got := found[0]; got.Status != f.status || !strings.Contains(got.Detail, says) || !strings.Contains(got.Fix, fix) {
		t.Errorf("%s: got %+v\nwant %s, a detail with %q and a fix with %q", f.check, got, f.status, says, fix)
	}
	if f.repair != nil {
		f.repair(r)
	} else {
		typed(t, fix)
	}
	if bad := faulty(of(r.run(t), f.check)); len(bad) > 0 {
		t.Errorf("%s after the fix: %+v", f.check, bad)
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
