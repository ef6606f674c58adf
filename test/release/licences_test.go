package release

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

const ours = "github.com/cni-bpffs/"

// A component is one in a list of contents, as CycloneDX has it.
type component struct {
	Type, Name, Version string
	Licenses            []struct {
		Expression string
		License    struct{ ID, Name string }
	}
}

func components(t *testing.T, file string) []component {
	t.Helper()
	var list struct {
		Metadata   struct{ Component component }
		Components []component
	}
	text, err := os.ReadFile(file)
	testns.Must(t, err)
	testns.Must(t, json.Unmarshal(text, &list))
	if len(list.Components) < 2 {
		t.Errorf("%s: got the components %v, want those that are linked", file, list.Components)
	}
	return append(list.Components, list.Metadata.Component)
}

// TestLicences: each component of a program has a licence in the list of contents,
// and the archive has the text.
func TestLicences(t *testing.T) {
	r := madeRelease(t)
	r.eachArchive(t, func(t *testing.T, arch, dir string) {
		t.Helper()
		for _, program := range []string{"bpffs", "bpffsctl"} {
			for _, c := range components(t, r.file("-linux-"+arch+"-"+program+".cdx.json")) {
				if !c.licensed() {
					t.Errorf("%s: %s has the licences %v, want one with a name", program, c.Name, c.Licenses)
				}
				texts, err := filepath.Glob(filepath.Join(dir, c.texts()))
				if err != nil || len(texts) == 0 {
					t.Errorf("%s: licence of %s: got %q, %v, want %s in the archive", program, c.Name, texts, err, c.texts())
				}
			}
		}
	})
}

func (c component) licensed() bool {
	for _, l := range c.Licenses {
		if l.Expression+l.License.ID == "" {
			return false
		}
	}
	return len(c.Licenses) > 0
}

// texts is the pattern of the files with its licence.
func (c component) texts() string {
	switch {
	case c.Type == "file" || strings.HasPrefix(c.Name, ours):
		return "LICENSE"
	case c.Name == "stdlib":
		return "licenses/go/LICENSE"
	}
	return "licenses/" + c.Name + "@" + c.Version + "/*[CI][EN][NG]*" // LICENSE, COPYING
}
