// Package meminfo reads what the kernel tells of the memory of the machine.
package meminfo

import (
	"bufio"
	"errors"
	"fmt"
	"os"
)

// Slab returns how many bytes the kernel's own objects take, on the whole machine.
func Slab() (int, error) {
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var kib int
		if n, _ := fmt.Sscanf(lines.Text(), "Slab: %d kB", &kib); n == 1 {
			return kib << 10, nil
		}
	}
	return 0, errors.New("/proc/meminfo has no line Slab")
}
