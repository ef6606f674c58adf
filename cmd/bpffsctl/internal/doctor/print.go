package doctor

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

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
	return fmt.Sprintf("%s, %s\n",
		output.Count(count(findings, Failure), "failure", "failures"), output.Count(count(findings, Warning), "warning", "warnings"))
}

// Print prints a line for each finding, for people, and below one that is not ok
// its fix. Those that were skipped are one line in all for each reason.
func Print(w io.Writer, findings []Finding) error {
	width := 0
	skipped := make(map[string][]string)
	for _, f := range findings {
		width = max(width, len(f.Check))
		if f.Status == Skipped && !slices.Contains(skipped[f.Because], f.Check) {
			skipped[f.Because] = append(skipped[f.Because], f.Check)
		}
	}
	var text strings.Builder
	for _, f := range findings {
		if f.Status == Skipped {
			continue
		}
		fmt.Fprintf(&text, "%-7s  %-*s  %s: %s\n", f.Status, width, f.Check, output.Clean(f.Looked), output.Clean(f.Detail))
		if f.Fix != "" {
			fmt.Fprintf(&text, "%-7s  → %s\n", "", output.Clean(f.Fix))
		}
	}
	for _, because := range slices.Sorted(maps.Keys(skipped)) {
		checks := skipped[because]
		fmt.Fprintf(&text, "%-7s  %s skipped because of %s: %s\n", Skipped, output.Count(len(checks), "check was", "checks were"),
			because, strings.Join(checks, ", "))
	}
	_, err := io.WriteString(w, text.String())
	return err
}
