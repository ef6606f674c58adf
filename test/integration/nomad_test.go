package integration

import (
	"errors"
	"os"
	"testing"

	"github.com/containernetworking/cni/libcni"
	"github.com/google/go-cmp/cmp"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
	"github.com/cni-bpffs/cni-bpffs/test/internal/node"
)

// Nomad calls the plugins by the ID of the allocation. A client that starts again
// sends CHECK for what runs; if that fails it makes the network namespace anew and
// sends ADD, without a DEL. An ADD that fails is sent three times, without a DEL in
// between. Teardown sends one DEL, with the namespace.

const allocation = "6b235529-8111-4bbe-520b-d639b1d2a94e"

// newAllocation returns how the plugins are called for the allocation, whose network
// namespace is made.
func newAllocation(t *testing.T) (*node.Pod, *libcni.RuntimeConf) {
	t.Helper()
	return newPod(t, allocation), &libcni.RuntimeConf{
		ContainerID: allocation, NetNS: "/var/run/netns/" + allocation, IfName: "eth0",
		Args: [][2]string{{"IgnoreUnknown", "true"}, {"NOMAD_ALLOC_ID", allocation}, {"NOMAD_JOB_ID", "web"}},
	}
}

func (n network) tearDown(t *testing.T, rt *libcni.RuntimeConf) {
	t.Helper()
	testns.Must(t, n.DelNetworkList(t.Context(), n.list, rt))
	node.NothingLeft(t, defaultRoot)
}

func TestNomad(t *testing.T) {
	for name, play := range map[string]func(*testing.T, network){
		"client restarted": nomadClient,
		"namespace lost":   nomadNamespace,
		"node restarted":   nomadNode,
		"ADD tried again":  nomadRetry,
	} {
		for _, version := range []string{"0.4.0", "1.0.0", "1.1.0"} {
			t.Run(name+" in "+version, func(t *testing.T) {
				newNode(t)
				play(t, fromBytes(t, loadChain(t, version)))
			})
		}
	}
}

func nomadClient(t *testing.T, n network) {
	t.Helper()
	_, rt := newAllocation(t)
	_, err := n.AddNetworkList(t.Context(), n.list, rt)
	testns.Must(t, err)
	before := snapshot(t)
	testns.Must(t, n.CheckNetworkList(t.Context(), n.list, rt))
	unchanged(t, before)
	n.tearDown(t, rt)
}

// loseAllocation attaches the allocation, loses all but what is in the bpffs, and
// attaches it again.
func (n network) loseAllocation(t *testing.T, also func()) (before, after bpffs.Endpoint) {
	t.Helper()
	pod, rt := newAllocation(t)
	_, err := n.AddNetworkList(t.Context(), n.list, rt)
	testns.Must(t, err)
	before = endpoints(t, defaultRoot)[0]
	testns.Must(t, errors.Join(pod.Crash(), os.RemoveAll("/var/lib/cni/networks")))
	also()
	if err := n.CheckNetworkList(t.Context(), n.list, rt); err == nil {
		t.Error("CHECK of a lost allocation: got success, want an error")
	}
	_, rt = newAllocation(t)
	_, err = n.AddNetworkList(t.Context(), n.list, rt)
	testns.Must(t, err)
	after = endpoints(t, defaultRoot)[0]
	testns.Must(t, n.CheckNetworkList(t.Context(), n.list, rt))
	n.tearDown(t, rt)
	return before, after
}

func nomadNamespace(t *testing.T, n network) {
	t.Helper()
	before, after := n.loseAllocation(t, func() {})
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("endpoint of an allocation whose namespace was made anew (-before +after):\n%s", diff)
	}
}

func nomadNode(t *testing.T, n network) {
	t.Helper()
	before, after := n.loseAllocation(t, func() { testns.UnmountAll(t, defaultRoot) })
	if diff := cmp.Diff(before.MapIDs, after.MapIDs); diff == "" {
		t.Errorf("maps of an allocation after a restart of the node: got those of before, %v, want new ones", after.MapIDs)
	}
}

func nomadRetry(t *testing.T, n network) {
	t.Helper()
	_, rt := newAllocation(t)
	failLater(t, true)
	for try := range 3 {
		if _, err := n.AddNetworkList(t.Context(), n.list, rt); err == nil {
			t.Fatalf("ADD %d with a later plugin that fails: got success, want an error", try)
		}
	}
	if got := len(endpoints(t, defaultRoot)); got != 1 {
		t.Errorf("endpoints after three ADDs: got %d, want 1", got)
	}
	n.tearDown(t, rt)
}
