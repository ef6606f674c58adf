package inventory_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/inventory"
	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// What a command takes away is said, also where that is no pin.
func TestHits(t *testing.T) {
	root := t.TempDir()
	for _, dir := range []string{"cni/scratch", "cni/endpoints/00001", "cni/endpoints/00002", "cni/attachments/net/a", "cni/attachments/net/b", "tc/globals", "other"} {
		testns.Must(t, os.MkdirAll(filepath.Join(root, dir), 0o755))
	}
	testns.Must(t, os.Symlink("net/a/eth0", filepath.Join(root, "cni/endpoints/00001/owner")))
	testns.Must(t, os.Symlink("00001", filepath.Join(root, "cni/attachments/net/a/eth0")))
	for _, file := range []string{"tc/globals/stats_00001", "tc/globals/policy_00001", "other/prog", "maps.debug"} {
		testns.Must(t, os.WriteFile(filepath.Join(root, file), nil, 0o600))
	}
	for path, want := range map[string]string{
		"cni":             "2 records, whose pins stay",
		"cni/endpoints":   "2 records, whose pins stay",
		"cni/attachments": "1 record, whose pins stay",
		"cni/scratch":     "no pin",
		"none":            "no pin",
		"tc":              "2 pins of 1 endpoint",
		"other":           "1 pin or file",
		"":                "3 pins of 1 endpoint",
	} {
		if got := inventory.Hits(filepath.Join(root, path)); got != want {
			t.Errorf("%q: got %q, want %q", path, got, want)
		}
	}
}
