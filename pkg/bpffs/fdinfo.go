package bpffs

import (
	"fmt"
	"os"
	"strings"
)

// fdinfo returns what the kernel tells of an open file, by the names of the
// lines (proc(5), /proc/pid/fdinfo).
func fdinfo(f *os.File) (map[string]string, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", f.Fd()))
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
