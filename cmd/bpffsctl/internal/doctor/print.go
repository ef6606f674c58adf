package doctor

import (
	"fmt"
	"io"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/output"
)

// reportVersion goes up when a field of the JSON form goes away or changes its
// meaning, not when one is added.
const reportVersion = 1

// A Report is what machines read.
type Report struct {
	Version  int       `json:"version"`
	Findings []Finding `json:"findings"`
}

// NewReport returns the report of the findings.
func NewReport(findings []Finding) Report { return Report{reportVersion, findings} }

// Sum returns a line that says how many faults there are.
func Sum(findings []Finding) string {
	failures, warnings := 0, 0
	for _, f := range findings {
		switch f.Status {
		case Failure:
			failures++
		case Warning:
			warnings++
		}
	}
	return fmt.Sprintf("%s, %s\n", output.Count(failures, "failure", "failures"), output.Count(warnings, "warning", "warnings"))
}

// Print prints a line for each finding, for people, and below one that is not ok
// its fix, except where that is to repair another one.
func Print(w io.Writer, findings []Finding) error {
	width := 0
	for _, f := range findings {
		width = max(width, len(f.Check))
	}
	for _, f := range findings {
		_, err := fmt.Fprintf(w, "%-7s  %-*s  %s: %s\n", f.Status, width, f.Check, output.Clean(f.Looked), output.Clean(f.Detail))
		if err == nil && f.Fix != "" && f.Fix != fixFirst {
			_, err = fmt.Fprintf(w, "%-7s  → %s\n", "", output.Clean(f.Fix))
		}
		if err != nil {
			return err
		}
	}
	return nil
}
