package pods

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/test/internal/node"
	"github.com/cni-bpffs/cni-bpffs/test/internal/plugintest"
)

const root = "/sys/fs/bpf"

type keys = plugintest.Keys

// volume makes the emptyDir of a pod as kubelet does, and returns where.
func volume(t *testing.T, uid string) string {
	t.Helper()
	dir := filepath.Join("/var/lib/kubelet/pods", uid, "volumes/kubernetes.io~empty-dir/bpffs")
	testns.Must(t, os.MkdirAll(dir, 0o750))
	testns.Must(t, os.Chmod(dir, 0o777))
	return dir
}

// withVolume is a network in which pods see their maps.
func withVolume() string {
	return plugintest.Conf(keys{"podVolume": "bpffs", "maps": []keys{
		{"name": "stats_", "type": "array", "keySize": 4, "valueSize": 8, "maxEntries": 1, "pod": "rw"},
		{"name": "policy_", "type": "hash", "keySize": 4, "valueSize": 8, "maxEntries": 8, "pod": "ro"},
		{"name": "calls_", "type": "prog_array", "keySize": 4, "valueSize": 4, "maxEntries": 1},
	}})
}

func pod(uid string) string { return "CNI_ARGS=K8S_POD_NAMESPACE=a;K8S_POD_NAME=b;K8S_POD_UID=" + uid }

func TestPodSeesItsMaps(t *testing.T) {
	p := node.New(t, "../..")
	dir := volume(t, "0a1b")
	pins := p.Add(t, withVolume(), pod("0a1b"))
	host, err := ebpf.LoadPinnedMap(pins[0], nil)
	testns.Must(t, err)
	defer host.Close()
	testns.Must(t, host.Put(uint32(0), uint64(42)))

	stats, err := ebpf.LoadPinnedMap(filepath.Join(dir, "eth0/maps-rw/stats_"), nil)
	testns.Must(t, err)
	defer stats.Close()
	var got uint64
	testns.Must(t, stats.Lookup(uint32(0), &got))
	if got != 42 {
		t.Errorf("the pod reads %d of its counter, want 42", got)
	}
	policy := filepath.Join(dir, "eth0/maps/policy_")
	if _, err := ebpf.LoadPinnedMap(policy, nil); !errors.Is(err, unix.EROFS) {
		t.Errorf("opening a map to read for writing: %v, want EROFS", err)
	}
	m, err := ebpf.LoadPinnedMap(policy, &ebpf.LoadPinOptions{ReadOnly: true})
	testns.Must(t, err)
	m.Close()
	p.Succeed(t, "DEL", withVolume(), pod("0a1b"))
	if entries, err := os.ReadDir(dir); len(entries) > 0 || err != nil {
		t.Errorf("left in the volume: %v, %v", entries, err)
	}
	node.NothingLeft(t, root)
}
