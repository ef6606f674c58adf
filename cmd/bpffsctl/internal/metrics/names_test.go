package metrics

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/install"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/inventory"
	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

const top = "../../../.."

// names returns those of all metrics.
func names(t *testing.T) (all []string) {
	t.Helper()
	var text strings.Builder
	testns.Must(t, Write(&text, Node{
		Look: &Look{
			Network: "net", HasPlugin: true, PodsKnown: true, Roots: []string{"/b"},
			Endpoints: []inventory.Endpoint{{States: []inventory.State{inventory.OK}}},
		},
		Install: &install.Status{}, Released: func() int64 { return 0 },
	}))
	for line := range strings.Lines(text.String()) {
		if name, ok := strings.CutPrefix(line, "# TYPE "); ok {
			all = append(all, strings.Fields(name)[0])
		}
	}
	slices.Sort(all)
	return all
}

// namesIn returns the names of metrics in a file.
func namesIn(t *testing.T, path string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(top, path))
	testns.Must(t, err)
	found := regexp.MustCompile(`\bbpffs_[a-z_]+`).FindAllString(string(text), -1)
	slices.Sort(found)
	return slices.Compact(found)
}

// Whatever names a metric names one that there is, and the page about metrics and the
// dashboard name all.
func TestNames(t *testing.T) {
	all := names(t)
	for _, path := range []string{"docs/metrics.md", "deploy/grafana/bpffs.json"} {
		if diff := cmp.Diff(all, namesIn(t, path)); diff != "" {
			t.Errorf("metrics that %s names (-want +got):\n%s", path, diff)
		}
	}
	for _, path := range []string{"deploy/prometheus/bpffs.rules.yaml", "deploy/prometheus/bpffs.rules_test.yaml"} {
		for _, name := range namesIn(t, path) {
			if !slices.Contains(all, name) {
				t.Errorf("%s names the metric %s: there is none", path, name)
			}
		}
	}
}
