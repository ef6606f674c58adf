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

var errMany = errors.New("too many to count")

// Hits says what goes with the paths and all below them: how many pins, and of how many
// endpoints, which their names tell; without any the records, of which the pins stay. The
// records need not be readable.
func Hits(paths ...string) string {
	h := hits{endpoints: make(map[uint16]bool)}
	for _, path := range paths {
		if errors.Is(filepath.WalkDir(path, h.count), errMany) {
			return fmt.Sprintf("more than %d pins", maxHits)
		}
	}
	switch recorded := max(h.records, h.entries); {
	case h.pins == 0 && recorded > 0:
		return output.Count(recorded, "record, whose pins stay", "records, whose pins stay")
	case h.pins == 0:
		return "no pin"
	case len(h.endpoints) == 0:
		return output.Count(h.pins, "pin or file", "pins or files")
	}
	return output.Count(h.pins, "pin", "pins") + " of " + output.Count(len(h.endpoints), "endpoint", "endpoints")
}

type hits struct {
	pins             int
	endpoints        map[uint16]bool // of the pins
	records, entries int             // directories of endpoints, links to them in the index
}

func (h *hits) count(path string, d fs.DirEntry, err error) error {
	if err != nil {
		return nil //nolint:nilerr // what cannot be read is not counted
	}
	switch {
	case d.IsDir():
		if strings.HasSuffix(filepath.Dir(path), "/cni/endpoints") {
			h.records++
		}
	case d.Type()&fs.ModeSymlink != 0:
		if strings.Contains(path, "/cni/attachments/") {
			h.entries++
		}
	case strings.HasSuffix(path, ".debug"): // the kernel puts them into each bpffs
	default:
		return h.countPin(path)
	}
	return nil
}

func (h *hits) countPin(path string) error {
	if h.pins++; h.pins > maxHits {
		return errMany
	}
	if m, ok := bpffs.ParseLocalMap(path); ok {
		h.endpoints[m.EndpointID] = true
	}
	return nil
}
