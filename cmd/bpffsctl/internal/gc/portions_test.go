package gc

import (
	"testing"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/testadd"
	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// Others have the records while many endpoints are removed.
func TestDoLetsOthersHaveTheRecords(t *testing.T) {
	const many = 3000
	root := testns.BPFFS(t)
	testadd.Many(t, root, many, t.TempDir()+"/gone")
	all := decisions(t, root)
	testadd.Waits(t, root, func() { Do(t.Context(), all, new(Options).Stays) })
	if got := Count(all, Removed); got != many {
		t.Errorf("removed: got %d, want %d", got, many)
	}
}
