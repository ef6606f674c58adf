// Package traffic sends packets through pods with the chain bridge, bpffs,
// pktcount, and looks at what the programs have counted in each pod's own map.
package traffic

import (
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"testing"

	"github.com/cni-bpffs/cni-bpffs/test/internal/pods"
)

const inside = "TRAFFIC_TEST_INSIDE"

// newNode returns a node in namespaces of its own: it runs the test again there.
// Outside of them it returns nil, and the test is over.
func newNode(t *testing.T) *pods.Node {
	t.Helper()
	if os.Getenv(inside) == "" {
		runInside(t)
		return nil
	}
	n, err := pods.NewNode("../..")
	if errors.Is(err, fs.ErrNotExist) {
		skip(t, "it needs the binaries that \"make tools\" builds: "+err.Error())
	}
	must(t, err)
	if _, err := call(n, "pktcount", "STATUS", &pods.Pod{}, "", map[string]any{"cniVersion": "1.1.0"}); err != nil {
		skip(t, err.Error())
	}
	return n
}

func runInside(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		skip(t, "it needs root for namespaces, mounts and BPF")
	}
	cmd := pods.Isolated("-test.run=^"+t.Name()+"$", "-test.v", "-test.count=1")
	cmd.Env = append(os.Environ(), inside+"=1")
	out, err := cmd.CombinedOutput()
	t.Logf("in namespaces of its own:\n%s", out)
	must(t, err)
}

// skip skips the test, but not in CI, where nothing may be missing.
func skip(t *testing.T, reason string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(reason)
	}
	t.Skip(reason)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newPod returns a pod that is attached to the network.
func newPod(t *testing.T, n *pods.Node, name string) *pods.Pod {
	t.Helper()
	p, err := n.NewPod(name)
	must(t, err)
	must(t, p.Add())
	return p
}

// introduce makes the pods and the gateway learn each other's MAC addresses, so
// that no ARP packet is counted afterwards.
func introduce(t *testing.T, all ...*pods.Pod) {
	t.Helper()
	for _, from := range all {
		must(t, from.Ping(netip.MustParseAddr(pods.Gateway), 1))
		for _, to := range all {
			if from != to {
				must(t, from.Ping(to.Addr, 1))
			}
		}
	}
}

func objects(t *testing.T, p *pods.Pod) pods.Objects {
	t.Helper()
	o, err := p.Objects()
	must(t, err)
	return o
}

func counters(t *testing.T, p *pods.Pod) pods.Counters {
	t.Helper()
	c, err := p.Counters()
	must(t, err)
	return c
}
