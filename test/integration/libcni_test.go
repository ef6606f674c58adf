package integration

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/containernetworking/cni/libcni"
	"github.com/containernetworking/cni/pkg/types"
	types100 "github.com/containernetworking/cni/pkg/types/100"
	"github.com/containernetworking/cni/pkg/types/create"
	"github.com/google/go-cmp/cmp"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
	"github.com/cni-bpffs/cni-bpffs/test/internal/node"
)

// A network is what a runtime has of it.
type network struct {
	*libcni.CNIConfig
	list *libcni.NetworkConfigList
}

func loadChain(t *testing.T, version string) network {
	t.Helper()
	writeChain(t, version)
	list, err := libcni.LoadNetworkConf(node.ConfDir, "chain")
	testns.Must(t, err)
	return network{libcni.NewCNIConfigWithCacheDir([]string{node.CNIDir}, "/var/lib/cni", nil), list}
}

// add attaches a new pod.
func (n network) add(t *testing.T, name string) (*libcni.RuntimeConf, types.Result) {
	t.Helper()
	rt := &libcni.RuntimeConf{ContainerID: name, NetNS: newPod(t, name).NetNS, IfName: "eth0"}
	result, err := n.AddNetworkList(t.Context(), n.list, rt)
	if err != nil {
		t.Fatalf("ADD of %s: %v", name, err)
	}
	return rt, result
}

func TestLibcni(t *testing.T) {
	newNode(t)
	n := loadChain(t, "1.1.0")
	testns.Must(t, n.GetStatusNetworkList(t.Context(), n.list))
	rt, _ := n.add(t, "a")
	result, err := create.CreateFromBytes([]byte(added(t, "after")))
	testns.Must(t, err)
	v100, err := types100.NewResultFromResult(result)
	testns.Must(t, err)
	local := bpffs.LocalMaps(v100)
	var want []bpffs.LocalMap
	for _, name := range []string{"calls_", "stats_"} {
		dir, err := bpffs.NewMapDir("", "")
		testns.Must(t, err)
		id := local[0].EndpointID
		want = append(want, bpffs.LocalMap{Path: dir.LocalMapPath(name, id), Name: name, EndpointID: id})
	}
	if diff := cmp.Diff(want, local); diff != "" {
		t.Errorf("LocalMaps of the result (-want +got):\n%s", diff)
	}
	testns.Must(t, n.CheckNetworkList(t.Context(), n.list, rt))
	testns.Must(t, n.DelNetworkList(t.Context(), n.list, rt))
	testns.Must(t, n.DelNetworkList(t.Context(), n.list, rt))
	node.NothingLeft(t, defaultRoot)
}

func TestLibcniGC(t *testing.T) {
	newNode(t)
	n := loadChain(t, "1.1.0")
	alive, _ := n.add(t, "alive")
	n.add(t, "dead")
	valid := []types.GCAttachment{{ContainerID: alive.ContainerID, IfName: alive.IfName}}
	testns.Must(t, n.GCNetworkList(t.Context(), n.list, &libcni.GCArgs{ValidAttachments: valid}))
	testns.Must(t, n.CheckNetworkList(t.Context(), n.list, alive))
	if got, want := containers(t, "chain"), []string{"alive"}; !cmp.Equal(got, want) {
		t.Errorf("containers with a record after GC: got %q, want %q", got, want)
	}
	testns.Must(t, n.GCNetworkList(t.Context(), n.list, &libcni.GCArgs{})) // sends null
	node.NothingLeft(t, defaultRoot)
}

// containers returns those of the network that have a record.
func containers(t *testing.T, network string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(defaultRoot, "cni/attachments", network, "*"))
	testns.Must(t, err)
	var names []string
	for _, path := range found {
		names = append(names, filepath.Base(path))
	}
	return names
}

// failLater lets the recorder after bpffs fail, or no longer.
func failLater(t *testing.T, fail bool) {
	t.Helper()
	if !fail {
		testns.Must(t, os.Remove(failFile+"after"))
		return
	}
	testns.Must(t, os.WriteFile(failFile+"after", nil, 0o600))
}

// TestFailureLater: a plugin after bpffs fails at ADD, and the runtime sends DEL.
func TestFailureLater(t *testing.T) {
	for _, version := range []string{"0.3.1", "0.4.0", "1.0.0", "1.1.0"} {
		t.Run(version, func(t *testing.T) {
			newNode(t)
			n := loadChain(t, version)
			failLater(t, true)
			rt := &libcni.RuntimeConf{ContainerID: "a", NetNS: newPod(t, "a").NetNS, IfName: "eth0"}
			if result, err := n.AddNetworkList(t.Context(), n.list, rt); err == nil {
				t.Fatalf("ADD: got %v, want an error", result)
			}
			if got := paths(t, added(t, "after")); len(got) != 2 {
				t.Fatalf("paths that the failing plugin got: %q, want two", got)
			}
			testns.Must(t, n.DelNetworkList(t.Context(), n.list, rt))
			node.NothingLeft(t, defaultRoot)
		})
	}
}
