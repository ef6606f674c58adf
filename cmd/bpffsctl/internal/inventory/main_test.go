package inventory

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/places"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/testadd"
	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

func TestMain(m *testing.M) {
	os.Exit(testns.Main(m))
}

// decls are the maps that every endpoint of these tests has.
func decls() []bpffs.MapDecl {
	return []bpffs.MapDecl{
		{Name: "policy_", Spec: bpffs.MapSpec{Type: unix.BPF_MAP_TYPE_HASH, KeySize: 4, ValueSize: 8, MaxEntries: 10}},
		{Name: "stats_", Spec: bpffs.MapSpec{Type: unix.BPF_MAP_TYPE_PERCPU_ARRAY, KeySize: 4, ValueSize: 16, MaxEntries: 2}},
	}
}

// gather returns all endpoints at root.
func gather(t *testing.T, root string) ([]Endpoint, error) {
	t.Helper()
	return Choose(t.Context(), at(root), func(all []Endpoint) []Endpoint { return all })
}

// at returns the place of the bpffs at root.
func at(root string) places.Where { return places.Where{Roots: bpffs.Roots{Root: root}} }

// mapDir returns the map directory at root.
func mapDir(t *testing.T, root string) bpffs.MapDir {
	t.Helper()
	dir, err := bpffs.NewMapDir(root, "")
	testns.Must(t, err)
	return dir
}

// add does what ADD does for the attachments, and returns their IDs.
func add(t *testing.T, root string, d bpffs.Details, as ...bpffs.Attachment) (ids []uint16) {
	t.Helper()
	for _, a := range as {
		id, err := testadd.Add(t.Context(), root, a, d, decls()...)
		testns.Must(t, err)
		ids = append(ids, id)
	}
	return ids
}

// pods returns n attachments whose container IDs are of the usual length.
func pods(n int) (as []bpffs.Attachment) {
	for i := range n {
		container := fmt.Sprintf("%08x", uint32(i)*2654435761) + strings.Repeat("c", 56)
		as = append(as, bpffs.Attachment{Network: "k8s-pod-network", ContainerID: container, IfName: "eth0"})
	}
	return as
}
