// Package docs tests that the pages for people name what is there.
package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
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

// TestShownCodeIsRun: code below a link to an example is that file, or part of it where
// other things are in it, so that what people copy is what the tests run.
func TestShownCodeIsRun(t *testing.T) {
	page := top + "/docs/consuming.md"
	blocks := regexp.MustCompile("(?s)\\]\\(([^)\\s]+)\\)[^\\n]*:\\n\\n```[a-z]+\\n(.*?\\n)```\\n").FindAllStringSubmatch(read(t, page), -1)
	whole := 0
	for _, block := range blocks {
		file, shown := read(t, shownFile(page, block[1])), block[2]
		if strings.Contains(block[1], "/examples/") {
			whole++
			if shown != file {
				t.Errorf("%s: what it shows of %s is not that file", page, block[1])
			}
			continue
		}
		if indent := regexp.MustCompile(`(?m)^\t+`); !strings.Contains(indent.ReplaceAllString(file, ""), indent.ReplaceAllString(shown, "")) {
			t.Errorf("%s: what it shows of %s is not in it:\n%s", page, block[1], shown)
		}
	}
	if len(blocks) != 5 || whole != 3 {
		t.Errorf("%s: got %d blocks with the name of a file, %d of them whole, want 5 and 3", page, len(blocks), whole)
	}
}

// shownFile returns the file that a link of the page leads to. The examples of the library
// are linked where they are published: a release has no sources of it.
func shownFile(page, link string) string {
	if strings.HasSuffix(link, "#pkg-examples") {
		return top + "/pkg/bpffs/example_test.go"
	}
	return filepath.Join(filepath.Dir(page), link)
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	testns.Must(t, err)
	return string(text)
}
