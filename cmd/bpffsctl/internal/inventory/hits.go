package inventory

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/output"
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

// maxHits is how many pins are counted of what a command takes away.
const maxHits = 10_000

var errMany = errors.New("more than are counted")

// Hits says what goes with the paths and all below them: how many pins, and of how many
// endpoints, which their names tell. The records need not be readable.
func Hits(paths ...string) string {
	var pins int
	endpoints := make(map[uint16]bool)
	count := func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Type()&fs.ModeSymlink != 0 || strings.HasSuffix(path, ".debug") {
			return nil //nolint:nilerr // what cannot be read is not counted, nor what the kernel puts into each bpffs
		}
		if pins++; pins > maxHits {
			return errMany
		}
		if m, ok := bpffs.ParseLocalMap(path); ok {
			endpoints[m.EndpointID] = true
		}
		return nil
	}
	for _, path := range paths {
		if errors.Is(filepath.WalkDir(path, count), errMany) {
			return fmt.Sprintf("more than %d pins", maxHits)
		}
	}
	switch {
	case pins == 0:
		return "no pin"
	case len(endpoints) == 0:
		return output.Count(pins, "pin or file", "pins or files")
	}
	return output.Count(pins, "pin", "pins") + " of " + output.Count(len(endpoints), "endpoint", "endpoints")
}
