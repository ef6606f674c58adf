// Package docs tests that the pages for people name what is there.
package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

const top = "../.."

// files returns the files of the repository whose names end so.
func files(t *testing.T, suffix string) (paths []string) {
	t.Helper()
	err := filepath.WalkDir(top, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() && slices.Contains([]string{".git", "bin"}, e.Name()) {
			return filepath.SkipDir
		}
		if strings.HasSuffix(path, suffix) {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil || len(paths) == 0 {
		t.Fatalf("files *%s: got %d, %v, want some", suffix, len(paths), err)
	}
	return paths
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	testns.Must(t, err)
	return string(text)
}

// found returns the first group of each match in the files.
func found(t *testing.T, pattern string, paths ...string) map[string]bool {
	t.Helper()
	all := make(map[string]bool)
	for _, path := range paths {
		for _, match := range regexp.MustCompile(pattern).FindAllStringSubmatch(read(t, path), -1) {
			all[match[1]] = true
		}
	}
	return all
}

// TestNamedTestsExist: a claim that names a test can be checked.
func TestNamedTestsExist(t *testing.T) {
	tests := found(t, `(?m)^func ((?:Test|Fuzz)\w+)\(`, files(t, "_test.go")...)
	for _, page := range files(t, ".md") {
		for name := range found(t, "`((?:Test|Fuzz)[A-Z]\\w*)`", page) {
			if !tests[name] {
				t.Errorf("%s names %s: there is no such test", page, name)
			}
		}
	}
}

// anchors returns what a forge makes of the headings of a page.
func anchors(t *testing.T, page string) map[string]bool {
	t.Helper()
	all := make(map[string]bool)
	for heading := range found(t, `(?m)^#+ (.*)$`, page) {
		kept := regexp.MustCompile(`[^\pL\pN _-]`).ReplaceAllString(strings.ToLower(heading), "")
		all[strings.ReplaceAll(kept, " ", "-")] = true
	}
	return all
}

// TestLinksLeadSomewhere: a link within the repository names a file and a heading
// that are there.
func TestLinksLeadSomewhere(t *testing.T) {
	for _, page := range files(t, ".md") {
		for link := range found(t, `\]\(([^)\s]+)\)`, page) {
			if strings.Contains(link, "://") {
				continue
			}
			name, heading, _ := strings.Cut(link, "#")
			target := page
			if name != "" {
				target = filepath.Join(filepath.Dir(page), name)
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s leads to %s: %v", page, link, err)
			} else if heading != "" && !anchors(t, target)[heading] {
				t.Errorf("%s leads to %s: there is no such heading", page, link)
			}
		}
	}
}

// TestShownCodeIsRun: code below a link to an example is that file, or part of it where
// other things are in it, so that what people copy is what the tests run.
func TestShownCodeIsRun(t *testing.T) {
	page := top + "/docs/consuming.md"
	blocks := regexp.MustCompile("(?s)\\]\\(([^)\\s]+)\\)[^\\n]*:\\n\\n```[a-z]+\\n(.*?\\n)```\\n").FindAllStringSubmatch(read(t, page), -1)
	whole := 0
	for _, block := range blocks {
		file, shown := read(t, filepath.Join(filepath.Dir(page), block[1])), block[2]
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
