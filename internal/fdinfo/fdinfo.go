// Package fdinfo reads what the kernel tells of an open file.
package fdinfo

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// errNoProc stands for a missing /proc, which must not be taken for the open
// file being missing.
var errNoProc = errors.New("/proc is not mounted")

// Of returns what the kernel tells of f, by the names of the lines (proc(5),
// /proc/pid/fdinfo).
func Of(f *os.File) (map[string]string, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", f.Fd()))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: reading its fdinfo: %w", f.Name(), errNoProc)
	}
	if err != nil {
		return nil, err
	}
	info := make(map[string]string)
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(line, ":")
		info[key] = strings.TrimSpace(value)
	}
	return info, nil
}
