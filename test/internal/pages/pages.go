// Package pages reads the pages for people, and checks their links.
package pages

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

// Files returns the files below a directory of the repository whose names end so.
func Files(tb testing.TB, top, suffix string) (paths []string) {
	tb.Helper()
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
		tb.Fatalf("files *%s in %s: got %d, %v, want some", suffix, top, len(paths), err)
	}
	return paths
}

// Found returns the first group of each match in the files.
func Found(tb testing.TB, pattern string, paths ...string) map[string]bool {
	tb.Helper()
	all := make(map[string]bool)
	for _, path := range paths {
		text, err := os.ReadFile(path)
		testns.Must(tb, err)
		for _, match := range regexp.MustCompile(pattern).FindAllStringSubmatch(string(text), -1) {
			all[match[1]] = true
		}
	}
	return all
}

// anchors returns what a forge makes of the headings of a page.
func anchors(tb testing.TB, page string) map[string]bool {
	tb.Helper()
	all := make(map[string]bool)
	for heading := range Found(tb, `(?m)^#+ (.*)$`, page) {
		kept := regexp.MustCompile(`[^\pL\pN _-]`).ReplaceAllString(strings.ToLower(heading), "")
		all[strings.ReplaceAll(kept, " ", "-")] = true
	}
	return all
}

// CheckLinks wants each link from a page below top to lead to a file, and to a
// heading if it names one, below top. Links to other sites are not followed.
func CheckLinks(tb testing.TB, top string) {
	tb.Helper()
	for _, page := range Files(tb, top, ".md") {
		for link := range Found(tb, `\]\(([^)\s]+)\)`, page) {
			if !strings.Contains(link, "://") {
				checkLink(tb, top, page, link)
			}
		}
	}
}

func checkLink(tb testing.TB, top, page, link string) {
	tb.Helper()
	name, heading, _ := strings.Cut(link, "#")
	target := page
	if name != "" {
		target = filepath.Join(filepath.Dir(page), name)
	}
	_, err := os.Stat(target)
	rel, relErr := filepath.Rel(top, target)
	switch {
	case err != nil:
		tb.Errorf("%s leads to %s: %v", page, link, err)
	case relErr != nil || !filepath.IsLocal(rel):
		tb.Errorf("%s leads to %s: not in %s", page, link, top)
	case heading != "" && !anchors(tb, target)[heading]:
		tb.Errorf("%s leads to %s: there is no such heading", page, link)
	}
}
