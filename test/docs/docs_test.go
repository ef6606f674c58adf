// Package docs tests that the pages for people name what is there.
package docs

import (
	"testing"

	"github.com/cni-bpffs/cni-bpffs/test/internal/pages"
)

const top = "../.."

// TestNamedTestsExist: a claim that names a test can be checked.
func TestNamedTestsExist(t *testing.T) {
	tests := pages.Found(t, `(?m)^func ((?:Test|Fuzz)\w+)\(`, pages.Files(t, top, "_test.go")...)
	for _, page := range pages.Files(t, top, ".md") {
		for name := range pages.Found(t, "`((?:Test|Fuzz)[A-Z]\\w*)`", page) {
			if !tests[name] {
				t.Errorf("%s names %s: there is no such test", page, name)
			}
		}
	}
}

// TestLinksLeadSomewhere: a link within the repository names a file and a heading
// that are there.
func TestLinksLeadSomewhere(t *testing.T) {
	pages.CheckLinks(t, top)
}
