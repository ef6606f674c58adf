package doctor

import (
	"bytes"
	"encoding/json"
	"errors"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// command calls bpffsctl doctor for the rig.
func (r *rig) command(args ...string) (stdout, stderr string, code int) {
	r.t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.Command("bpffsctl", append([]string{
		"doctor", "--root", r.Root, "--bin-dir", r.BinDir, "--conf-dir", r.ConfDir, "--cri-socket", r.CRISocket,
	}, args...)...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		r.t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

func TestCommandExitCode(t *testing.T) {
	for _, row := range []struct {
		name string
		make func(r *rig)
		args []string
		want int
		says string // on standard error
	}{
		{"healthy", func(*rig) {}, nil, 0, "0 failures, 0 warnings\n"},
		{"a warning", func(r *rig) { mkdir(r.t, r.records("scratch")) }, nil, 0, "0 failures, 1 warning\n"},
		{"a failure", func(r *rig) { chmod(r.t, r.Root, 0o777) }, nil, 1, "1 failure, 0 warnings\n"},
		{"a failure as JSON", func(r *rig) { chmod(r.t, r.Root, 0o777) }, []string{"--json"}, 1, ""},
		{"called wrongly", func(*rig) {}, []string{"--nonsense"}, 2, "bpffsctl: unknown flag: --nonsense: bpffsctl doctor --help\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := newRig(t)
			row.make(r)
			stdout, stderr, code := r.command(row.args...)
			if code != row.want || stderr != row.says {
				t.Errorf("got exit code %d, want %d; stdout:\n%s\nstderr:\n%s", code, row.want, stdout, stderr)
			}
		})
	}
}

func TestCommandPrints(t *testing.T) {
	r := newRig(t)
	mkdir(t, r.records("attachments/net/a\nb\x1b[31m"))
	asJSON, _, _ := r.command("--json")
	var got Report
	if err := json.Unmarshal([]byte(asJSON), &got); err != nil {
		t.Fatalf("%v: %s", err, asJSON)
	}
	found := got.Findings
	if diff := cmp.Diff(Report{1, r.run(t)}, got); diff != "" {
		t.Errorf("bpffsctl doctor --json (-want +got):\n%s", diff)
	}
	if also, _, _ := r.command("--output", "json"); also != asJSON {
		t.Errorf("--output json prints\n%s\nand --json\n%s", also, asJSON)
	}
	if asYAML, _, _ := r.command("-o", "yaml"); !strings.HasPrefix(asYAML, "findings:\n- check: privilege\n") {
		t.Errorf("-o yaml prints %s", asYAML)
	}
	table, _, _ := r.command()
	if got, want := strings.Count(table, "\n"), len(found)+1; got != want {
		t.Errorf("got %d lines, want one for each check and one for the fix, %d:\n%s", got, want, table)
	}
	if strings.Contains(table, "\x1b") {
		t.Errorf("a name reaches the terminal as a command: %q", table)
	}
	line := "warning  leftovers              " + r.records() + ": 1 empty directory in the index"
	if !strings.Contains(table, line) {
		t.Errorf("no line begins with %q:\n%s", line, table)
	}
}
