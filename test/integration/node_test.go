package integration

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/test/internal/node"
	"github.com/cni-bpffs/cni-bpffs/test/internal/plugintest"
)

// Where things are on a node, beside those of the package node.
const (
	top         = "../.."
	recordFile  = "/run/node/records"
	failFile    = "/run/node/fail-" // with a label: while it is there, that recorder fails
	customDir   = "/run/custom"     // for roots that are configured
	customRoot  = customDir + "/root"
	defaultRoot = "/sys/fs/bpf"
	fallback    = "/run/cilium/bpffs"
)

// A plugin is how the built plugin is executed.
type plugin struct{ plugintest.Plugin }

// keys are those of a network configuration.
type keys = plugintest.Keys

// newNode gives the test a node on which nothing is mounted for BPF, until the
// test ends, and returns the plugin on it.
func newNode(t *testing.T) plugin {
	t.Helper()
	p := plugin{node.New(t, top)}
	mkdir(t, customDir)
	return p
}

// conf returns the configuration of bpffs with two maps, after one plugin that
// made eth0. The keys in more replace others; nil removes one.
func conf(more ...keys) string { return plugintest.Conf(more...) }

// paths returns the names of the interfaces in a CNI result that are paths.
func paths(t *testing.T, result string) []string {
	t.Helper()
	found, err := plugintest.Paths(result)
	testns.Must(t, err)
	return found
}

// newPod makes the network namespace of a pod.
func newPod(t *testing.T, name string) *node.Pod {
	t.Helper()
	p, err := node.NewPod(name)
	testns.Must(t, err)
	return p
}

// bpfMounts returns where a bpffs is mounted on the node.
func bpfMounts(t *testing.T) []string {
	t.Helper()
	points, err := node.BPFMounts()
	testns.Must(t, err)
	return points
}

func mkdir(t *testing.T, path string) {
	t.Helper()
	testns.Must(t, os.MkdirAll(path, 0o700))
}

// isThere reports whether something is at the path.
func isThere(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// snapshot describes all that the plugin could change on a node: the mount table
// and what is below the roots.
func snapshot(t *testing.T) map[string]node.Tree {
	t.Helper()
	table, err := os.ReadFile("/proc/self/mountinfo")
	testns.Must(t, err)
	all := map[string]node.Tree{"mounts": {"": string(table)}}
	for _, dir := range []string{filepath.Dir(defaultRoot), filepath.Dir(fallback), customDir} {
		all[dir] = node.Identities(t, dir)
	}
	// What the kernel shows at fs, others on the host change.
	maps.DeleteFunc(all[customDir], func(name, _ string) bool {
		return strings.HasPrefix(name+"/", "fs/") && !strings.HasPrefix(name+"/", "fs/bpf/")
	})
	return all
}

// unchanged wants the node to be as it was at the time of the snapshot.
func unchanged(t *testing.T, before map[string]node.Tree) {
	t.Helper()
	if diff := cmp.Diff(before, snapshot(t)); diff != "" {
		t.Errorf("the node changed (-before +after):\n%s", diff)
	}
}
