package kernels

import (
	"strings"
	"testing"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// What must not count as a success does not.
func TestFault(t *testing.T) {
	const (
		end  = "\x16=== NAME  \n"
		good = "\x16=== RUN   TestA\n\x16--- PASS: TestA (0.00s)\n" + end
	)
	for _, row := range []struct {
		name           string
		output, result string
		want           string // the faults of the suite and of its tests
	}{
		{"good", good + "PASS\n", "ok", ""},
		{"killed", good, "it has no end", "it has no end"},
		{"nothing ran", "PASS\n", "ok", "not one test passed"},
		{
			"failed", good + "\x16=== RUN   TestB\n    b_test.go:1: bad\n\x16--- FAIL: TestB (0.00s)\n" + end + "FAIL\n", "exit status 1",
			"exit status 1, TestB failed",
		},
		{
			"one row failed", "\x16=== RUN   TestB\n\x16=== RUN   TestB/row\n\x16=== RUN   TestB/other\n" +
				"\x16--- FAIL: TestB (0.00s)\n    \x16--- FAIL: TestB/row (0.00s)\n    \x16--- PASS: TestB/other (0.00s)\n" + end + "FAIL\n",
			"exit status 1", "exit status 1, TestB/row failed",
		},
		{
			"crashed", good + "\x16=== RUN   TestB\npanic: bad\n", "exit status 2",
			"exit status 2, TestB it has no end",
		},
		{
			"skipped", good + "\x16=== RUN   TestB\n    b_test.go:1: needs a moon\n\x16--- SKIP: TestB (0.00s)\n" + end + "PASS\n", "ok",
			"",
		},
		{
			"skipped without a reason", good + "\x16=== RUN   TestB\n    b_test.go:1: \n\x16--- SKIP: TestB (0.00s)\n" + end + "PASS\n", "ok",
			"TestB skipped without a reason",
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			s, err := newSuiteRun(Run{Output: []byte(row.output), Result: row.result})
			testns.Must(t, err)
			var faults []string
			if fault := s.fault(); fault != "" {
				faults = append(faults, fault)
			}
			for _, test := range s.tests {
				if fault := test.fault(); fault != "" && !test.isRows {
					faults = append(faults, test.name+" "+fault)
				}
			}
			if got := strings.Join(faults, ", "); got != row.want {
				t.Errorf("faults: got %q, want %q", got, row.want)
			}
		})
	}
}
