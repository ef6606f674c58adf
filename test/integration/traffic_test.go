package integration

import (
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/test/internal/node"
	"github.com/cni-bpffs/cni-bpffs/test/internal/plugintest"
)

// The chain of these tests is bridge, bpffs, pktcount; they look at what the
// programs have counted in each pod's own map.

// newTraffic gives the test a node with that chain.
func newTraffic(t *testing.T) {
	t.Helper()
	newNode(t)
	conf, err := os.ReadFile(filepath.Join(top, "examples/pktcount/pktcount.conflist"))
	testns.Must(t, err)
	testns.Must(t, node.Configure("10-pktcount.conflist", conf))
	if a := ofPod("pktcount", &node.Pod{}, "").Call(t, "STATUS", pktcountConf(keys{"cniVersion": "1.1.0"})); a.Status != 0 {
		skip(t, a.Stdout)
	}
}

// ofPod returns a plugin as a runtime calls it for the pod.
func ofPod(plugin string, p *node.Pod, netns string) plugintest.Plugin {
	return plugintest.Plugin{
		Argv: []string{filepath.Join(node.CNIDir, plugin)},
		Env:  []string{"CNI_CONTAINERID=" + p.ContainerID, "CNI_NETNS=" + netns},
	}
}

// pktcountConf returns the configuration of the network for one plugin.
func pktcountConf(more ...keys) string {
	network := keys{"cniVersion": "1.0.0", "name": node.Network, "type": "pktcount", "maps": nil, "prevResult": nil}
	return conf(append([]keys{network}, more...)...)
}

func prevResult(result []byte) keys { return keys{"prevResult": json.RawMessage(result)} }

// skip skips the test, but not in CI, where nothing may be missing.
func skip(t *testing.T, reason string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(reason)
	}
	t.Skip(reason)
}

// attachedPod returns a pod that is attached to the network.
func attachedPod(t *testing.T, name string) *node.Pod {
	t.Helper()
	p := newPod(t, name)
	testns.Must(t, p.Add())
	return p
}

// introduce makes the pods and the gateway learn each other's MAC addresses, so
// that no ARP packet is counted afterwards.
func introduce(t *testing.T, all ...*node.Pod) {
	t.Helper()
	for _, from := range all {
		testns.Must(t, from.Ping(netip.MustParseAddr(node.Gateway), 1))
		for _, to := range all {
			if from != to {
				testns.Must(t, from.Ping(to.Addr, 1))
			}
		}
	}
}

func objects(t *testing.T, p *node.Pod) node.Objects {
	t.Helper()
	o, err := p.Objects()
	testns.Must(t, err)
	return o
}

func counters(t *testing.T, p *node.Pod) node.Counters {
	t.Helper()
	c, err := p.Counters()
	testns.Must(t, err)
	return c
}
