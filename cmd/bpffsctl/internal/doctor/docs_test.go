package doctor

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// The table in the documentation has every check, and in the same order.
func TestDocs(t *testing.T) {
	text, err := os.ReadFile("../../../../docs/operations.md")
	testns.Must(t, err)
	_, section, found := strings.Cut(string(text), "\n## Doctor\n")
	if !found {
		t.Fatal("docs/operations.md has no section Doctor")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	var names []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\| (.*) \\| (.*) \\|$").FindAllStringSubmatch(section, -1) {
		if !slices.Contains(names, row[1]) {
			names = append(names, row[1])
		}
		if row[2] == "" || row[3] == "" {
			t.Errorf("%s: the fault or the fix is empty", row[1])
		}
	}
	if !slices.Equal(names, checkNames()) {
		t.Errorf("docs/operations.md lists the checks\n%q; there are\n%q", names, checkNames())
	}
}
