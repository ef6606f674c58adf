package integration

import (
	"encoding/json"
	"net/netip"
	"path/filepath"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/google/go-cmp/cmp"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/test/internal/node"
	"github.com/cni-bpffs/cni-bpffs/test/internal/plugintest"
)

// The example of a short plugin in Go, examples/go/policy, enters the pod's address into
// the pod's own map.
func TestPolicyExample(t *testing.T) {
	for _, version := range []string{"0.3.1", "0.4.0", "1.0.0", "1.1.0"} {
		t.Run(version, func(t *testing.T) {
			newNode(t)
			text, err := json.Marshal(keys{"cniVersion": version, "name": "chain", "plugins": []keys{
				{"type": "bridge", "bridge": "cni-test0", "isGateway": true, "ipam": keys{"type": "host-local", "subnet": "10.77.0.0/24"}},
				{"type": "bpffs", "maps": []keys{{"name": "policy_", "type": "hash", "keySize": 4, "valueSize": 8, "maxEntries": 16}}},
				{"type": "policy"},
			}})
			testns.Must(t, err)
			testns.Must(t, node.Configure("10-chain.conflist", text))
			pod := newPod(t, "pod").NetNS
			mustCnitool(t, "status", pod)
			result := mustCnitool(t, "add", pod)
			pins := paths(t, result)
			if len(pins) != 1 {
				t.Fatalf("paths in the result: got %q, want one", pins)
			}
			want := map[string]uint64{address(t, result): 1}
			if diff := cmp.Diff(want, entries(t, pins[0])); diff != "" {
				t.Errorf("entries of %s (-want +got):\n%s", pins[0], diff)
			}
			if version != "0.3.1" { // which has no CHECK
				mustCnitool(t, "check", pod)
			}
			for range 2 {
				mustCnitool(t, "del", pod)
			}
			mustCnitool(t, "gc", pod)
			node.NothingLeft(t, defaultRoot)
		})
	}
}

// TestPolicyExampleAlone calls the plugin without what it needs.
func TestPolicyExampleAlone(t *testing.T) {
	newNode(t)
	p := plugintest.Plugin{Argv: []string{filepath.Join(node.CNIDir, "policy")}}
	for _, tt := range []struct {
		prevResult any
		want       string
	}{
		{nil, "put this plugin after bpffs"},
		{keys{"cniVersion": "1.1.0"}, "no map policy_ in prevResult"},
		{keys{"cniVersion": "1.1.0", "interfaces": []keys{{"name": "/sys/fs/bpf/tc/globals/policy_00042"}}}, "no IPv4 address in prevResult"},
	} {
		const invalid = 7
		p.Fail(t, invalid, []string{tt.want}, "ADD", conf(keys{"type": "policy", "prevResult": tt.prevResult, "maps": nil}))
	}
}

// address returns the only address in a result.
func address(t *testing.T, result string) string {
	t.Helper()
	var r struct {
		IPs []struct{ Address netip.Prefix }
	}
	testns.Must(t, json.Unmarshal([]byte(result), &r))
	if len(r.IPs) != 1 {
		t.Fatalf("addresses in %s: got %d, want one", result, len(r.IPs))
	}
	return r.IPs[0].Address.Addr().String()
}

// entries returns what is in a map of addresses.
func entries(t *testing.T, pin string) map[string]uint64 {
	t.Helper()
	m, err := ebpf.LoadPinnedMap(pin, nil)
	testns.Must(t, err)
	defer m.Close()
	all := make(map[string]uint64)
	var key [4]byte
	var value uint64
	for i := m.Iterate(); i.Next(&key, &value); {
		all[netip.AddrFrom4(key).String()] = value
	}
	return all
}
