package runtimes

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
	"github.com/cni-bpffs/cni-bpffs/test/internal/record"
)

const (
	bpfRoot = "/sys/fs/bpf"
	mapDir  = bpfRoot + "/tc/globals"
)

// recorded returns the calls that the plugin record noted.
func recorded(t *testing.T) []record.Call {
	t.Helper()
	calls, err := record.Read(callLog)
	testns.Must(t, err)
	return calls
}

// endpoints returns what our plugin has on record, by container.
func endpoints(t *testing.T) map[string]bpffs.Endpoint {
	t.Helper()
	found, err := bpffs.LookUp(t.Context(), bpfRoot, bpffs.Query{})
	if !errors.Is(err, bpffs.ErrNoRecords) && !errors.Is(err, bpffs.ErrNotMounted) {
		testns.Must(t, err)
	}
	all := make(map[string]bpffs.Endpoint)
	for _, ep := range found {
		all[ep.Attachment.ContainerID] = ep
	}
	return all
}

// nothingLeft reports what of any pod is left in the bpffs.
func nothingLeft(t *testing.T) {
	t.Helper()
	nothingLeftIn(t, bpfRoot)
}

// nothingLeftIn reports it of a bpffs.
func nothingLeftIn(t *testing.T, root string) {
	t.Helper()
	for _, dir := range []string{"tc/globals", "cni/endpoints", "cni/attachments", "cni/scratch"} {
		left, err := filepath.Glob(filepath.Join(root, dir, "*"))
		if err != nil || len(left) > 0 {
			t.Errorf("left in the bpffs: got %q (%v), want nothing", left, err)
		}
	}
}

// sent returns how many packets have been counted from a pod.
func sent(t *testing.T, ep bpffs.Endpoint) uint64 {
	t.Helper()
	return sentIn(t, filepath.Join(mapDir, bpffs.LocalMapName("stats_", ep.ID)))
}

// sentIn returns how many sent packets the map at path has counted.
func sentIn(t *testing.T, path string) (packets uint64) {
	t.Helper()
	m, err := ebpf.LoadPinnedMap(path, nil)
	testns.Must(t, err)
	defer m.Close()
	var perCPU []struct{ Packets, Bytes uint64 }
	testns.Must(t, m.Lookup(uint32(1), &perCPU))
	for _, c := range perCPU {
		packets += c.Packets
	}
	return packets
}
