package doctor

import (
	"fmt"
	"io"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/output"
)

// Print prints a line for each finding, for people, and below one that is not ok
// its cure, except where that is to mend another one.
func Print(w io.Writer, findings []Finding) error {
	width := 0
	for _, f := range findings {
		width = max(width, len(f.Check))
	}
	for _, f := range findings {
		_, err := fmt.Fprintf(w, "%-7s  %-*s  %s: %s\n", f.Status, width, f.Check, output.Clean(f.Looked), output.Clean(f.Detail))
		if err == nil && f.Cure != "" && f.Cure != mendFirst {
			_, err = fmt.Fprintf(w, "%-7s  → %s\n", "", output.Clean(f.Cure))
		}
		if err != nil {
			return err
		}
	}
	return nil
}
