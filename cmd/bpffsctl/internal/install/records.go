package install

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/inventory"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/output"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/places"
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

// A recorded is what was found of endpoints on the node.
type recorded struct {
	mounted   bool // there is a bpffs
	endpoints int
	roots     []string // that have endpoints
	networks  []string // that they are on
}

// look looks for endpoints at the places.
func look(ctx context.Context, where []places.Place) (found recorded, err error) {
	roots, _ := places.Roots(where) // the error is that of readRecords, too
	found.mounted = len(roots) > 0
	records, err := readRecords(ctx, where)
	found.endpoints = len(records)
	for _, r := range records {
		found.roots = append(found.roots, r.Root)
		if r.Attachment.Network != "" {
			found.networks = append(found.networks, r.Attachment.Network)
		}
	}
	found.roots, found.networks = unique(found.roots), unique(found.networks)
	return found, err
}

func readRecords(ctx context.Context, where []places.Place) ([]inventory.Record, error) {
	roots, err := places.Roots(where)
	records, err := inventory.RecordsIn(ctx, roots, err)
	if errors.Is(err, bpffs.ErrNotOurs) && len(records) == 0 {
		err = nil // a bpffs without records of ours
	}
	return records, err
}

func unique(words []string) []string {
	slices.Sort(words)
	return slices.Compact(words)
}

// collect returns the command that removes the endpoints when their pods are gone.
// Nothing that a runtime starts from now on is among them.
func (found recorded) collect(gc []string) string {
	return output.Command(append(slices.Clone(gc), "--network", strings.Join(found.networks, ","), "--allow-empty", "--older-than", "0s", "--yes")...)
}
