package runtimes

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// reportVar names the file in which all processes of a run note what works.
const reportVar = "BPFFS_RUNTIMES_REPORT"

// A row is a line of the table that is printed at the end.
type row struct {
	Order                   int // of the subject
	Subject, Feature, State string
}

// subjects are what the table is about, in its order.
func subjects() []string {
	return []string{"containerd 1.6", "containerd 2.4", "podman 4.3", multusSubject, "plugins v1.9.1", "plugins 1.1.1", "programs", "kubelet 1.34", kubernetes}
}

// works puts a line into the table when the test t ends: whether it passed.
func works(t *testing.T, subject, feature string) {
	t.Helper()
	t.Cleanup(func() {
		state := "works"
		switch {
		case t.Failed():
			state = "FAILS"
		case t.Skipped():
			state = "not run"
		}
		note(t, subject, feature, state)
	})
}

// note puts a line into the table.
func note(t *testing.T, subject, feature, state string) {
	t.Helper()
	f, err := os.OpenFile(os.Getenv(reportVar), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Error(err)
		return
	}
	defer f.Close()
	line := row{slices.Index(subjects(), subject), subject, feature, state}
	if err := json.NewEncoder(f).Encode(line); err != nil {
		t.Error(err)
	}
}

// table returns the lines of the report as a table, those of a subject together.
func table(report string) string {
	data, err := os.ReadFile(report)
	if err != nil {
		return err.Error()
	}
	var rows []row
	for line := range strings.Lines(string(data)) {
		var r row
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			return err.Error()
		}
		rows = append(rows, r)
	}
	slices.SortStableFunc(rows, func(a, b row) int { return cmp.Compare(a.Order, b.Order) })
	var text strings.Builder
	text.WriteString("\n| with | what | result |\n|---|---|---|\n")
	for _, r := range rows {
		fmt.Fprintf(&text, "| %s | %s | %s |\n", r.Subject, r.Feature, r.State)
	}
	return text.String()
}
