package testns

import (
	"os"
	"path/filepath"
	"testing"
)

// Files returns a directory of the test with the files, by their paths below it.
func Files(tb testing.TB, files map[string]string) (dir string) {
	tb.Helper()
	dir = tb.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		Must(tb, os.MkdirAll(filepath.Dir(path), 0o755))
		Must(tb, os.WriteFile(path, []byte(content), 0o644))
	}
	return dir
}
