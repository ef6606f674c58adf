package runtimes

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// TestChartPage: the table of docs/chart.md has each value of the chart with its
// default, and so have values.yaml and the schema.
func TestChartPage(t *testing.T) {
	text, err := os.ReadFile(chartDir + "/values.yaml")
	testns.Must(t, err)
	var defaults map[string]any
	testns.Must(t, yaml.UnmarshalStrict(text, &defaults))
	known := chartSchema(t).Properties
	delete(known, "global") // is Helm's
	want := make(map[string]string)
	leaves(t, want, "", known, defaults)
	if diff := cmp.Diff(want, documentedValues(t)); diff != "" {
		t.Errorf("values of the chart and their table in docs/chart.md (-want +got):\n%s", diff)
	}
}

// leaves adds the default of each value to all, with the name that it has in the
// table. Part of a value is what the schema spells out where the value is.
func leaves(t *testing.T, all map[string]string, prefix string, known map[string]schema, defaults map[string]any) {
	t.Helper()
	if diff := cmp.Diff(slices.Sorted(maps.Keys(known)), slices.Sorted(maps.Keys(defaults))); diff != "" {
		t.Errorf("values below %q in the schema and in values.yaml (-want +got):\n%s", prefix, diff)
	}
	for name, value := range defaults {
		if parts := known[name].Properties; parts != nil {
			leaves(t, all, prefix+name+".", parts, value.(map[string]any))
			continue
		}
		all[prefix+name] = defaultCell(t, value)
	}
}

// defaultCell returns a default as the table shows it.
func defaultCell(t *testing.T, value any) string {
	t.Helper()
	const width = 70
	if value == "" {
		return "empty"
	}
	text, isText := value.(string)
	if !isText {
		short, err := json.Marshal(value)
		testns.Must(t, err)
		text = string(short)
	}
	if len(text) > width {
		return "see `values.yaml`"
	}
	return "`" + text + "`"
}

// documentedValues returns the defaults in the table of docs/chart.md.
func documentedValues(t *testing.T) map[string]string {
	t.Helper()
	page, err := os.ReadFile(chartPage)
	testns.Must(t, err)
	_, table, found := strings.Cut(string(page), "\n| value | default | meaning |\n|---|---|---|\n")
	if !found {
		t.Fatal("docs/chart.md: got no table of values")
	}
	table, _, _ = strings.Cut(table, "\n\n")
	defaults := make(map[string]string)
	for row := range strings.SplitSeq(table, "\n") {
		cells := strings.Split(row, " | ")
		name := strings.Trim(cells[0], "| `")
		if _, twice := defaults[name]; twice || len(cells) != 3 {
			t.Errorf("docs/chart.md: got the row %s, want one of three cells for each value", row)
			continue
		}
		defaults[name] = cells[1]
	}
	return defaults
}
