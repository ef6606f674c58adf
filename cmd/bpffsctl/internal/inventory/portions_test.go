package inventory

import (
	"testing"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/testadd"
	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// Others have the records while many are read.
func TestRecordsLetsOthersHaveThem(t *testing.T) {
	const many = 8000
	root := testns.BPFFS(t)
	testadd.Many(t, root, many, "/run/netns/1")
	testadd.Waits(t, root, func() {
		if all, err := Records(t.Context(), at(root)); len(all) != many || err != nil {
			t.Errorf("Records: got %d, %v, want %d", len(all), err, many)
		}
	})
}
