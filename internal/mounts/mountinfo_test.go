package mounts

import (
	"os"
	"testing"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// statx(2) and /proc tell the same ID, which Holding finds in the mount table.
func TestTableID(t *testing.T) {
	testns.Need(t)
	dir := testns.BPFFS(t)
	f, err := os.Open(dir)
	testns.Must(t, err)
	defer f.Close()
	want, err := tableIDInProc(f)
	testns.Must(t, err)
	if got, err := tableIDOf(f); got != want || err != nil {
		t.Errorf("ID of the mount at %s: got %d (%v), want %d as in /proc/self/fdinfo", dir, got, err, want)
	}
	if m, err := Holding(dir); m.ID != want || m.FSType != "bpf" || err != nil {
		t.Errorf("the mount that holds %s: got %+v (%v), want a bpffs with ID %d", dir, m, err, want)
	}
}
