package traffic

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"strings"
	"testing"

	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netns"

	"github.com/cni-bpffs/cni-bpffs/test/internal/pods"
)

// call calls a plugin for the pod, as a runtime would, with the extra keys in its
// configuration.
func call(n *pods.Node, plugin, verb string, p *pods.Pod, netnsPath string, keys map[string]any) ([]byte, error) {
	conf := map[string]any{"cniVersion": "1.0.0", "name": pods.Network, "type": plugin}
	maps.Copy(conf, keys)
	stdin, err := json.Marshal(conf)
	if err != nil {
		return nil, err
	}
	return n.Run([]string{
		"CNI_COMMAND=" + verb, "CNI_CONTAINERID=" + p.ContainerID, "CNI_IFNAME=eth0", "CNI_NETNS=" + netnsPath,
	}, stdin, plugin)
}

func prevResult(result []byte) map[string]any {
	return map[string]any{"prevResult": json.RawMessage(result)}
}

// TestDel: after it the kernel has neither the map nor the links nor the programs.
func TestDel(t *testing.T) {
	n := newNode(t)
	if n == nil {
		return
	}
	a, b := newPod(t, n, "a"), newPod(t, n, "b")
	ofA, ofB := objects(t, a), objects(t, b)
	t.Logf("a: %v; b: %v", ofA, ofB)
	must(t, a.Del())
	must(t, ofA.WaitGone())
	must(t, a.Del())
	if got := objects(t, b); got != ofB {
		t.Errorf("after DEL of a, b has %v, want %v", got, ofB)
	}
	must(t, b.Check())
	must(t, b.Del())
	must(t, ofB.WaitGone())
	if left, err := os.ReadDir("/sys/fs/bpf/tc/globals"); err != nil || len(left) > 0 {
		t.Errorf("left in the map directory: %v, %v", left, err)
	}
}

// TestDelAlone calls DEL of pktcount without the others of the chain.
func TestDelAlone(t *testing.T) {
	n := newNode(t)
	if n == nil {
		return
	}
	a, b := newPod(t, n, "a"), newPod(t, n, "b")
	empty, err := n.NewPod("empty")
	must(t, err)
	of := objects(t, b)
	for _, tt := range []struct {
		name, netns string
		keys        map[string]any
		attached    bool
	}{
		{"no prevResult", b.NetNS, nil, true},
		{"no network namespace", "", prevResult(b.Result), true},
		{"network namespace gone", "/run/netns/gone", prevResult(b.Result), true},
		{"no interface", empty.NetNS, prevResult(b.Result), true},
		{"neither", "", nil, true},
		{"no paths", b.NetNS, prevResult([]byte(`{"cniVersion": "1.0.0"}`)), true},
		{"paths that are another's by now", a.NetNS, prevResult(b.Result), true},
		{"whole", b.NetNS, prevResult(b.Result), false},
		{"again", b.NetNS, prevResult(b.Result), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := call(n, "pktcount", "DEL", b, tt.netns, tt.keys); err != nil {
				t.Error(err)
			}
			if got := objects(t, b); got != of {
				t.Errorf("b has %v, want %v: the pins belong to bpffs", got, of)
			}
			if got := attached(t, b); got != tt.attached {
				t.Errorf("attached: %v, want %v", got, tt.attached)
			}
		})
	}
	must(t, b.Del())
	must(t, of.WaitGone())
	if _, err := call(n, "pktcount", "DEL", b, b.NetNS, prevResult(b.Result)); err != nil {
		t.Errorf("with pins that are gone: %v", err)
	}
}

// attached reports whether both links of the pod are at an interface.
func attached(t *testing.T, p *pods.Pod) bool {
	t.Helper()
	n := 0
	for _, name := range []string{"pktcount_rx_", "pktcount_tx_"} {
		l, err := link.LoadPinnedLink(p.Pins[name], nil)
		must(t, err)
		info, err := l.Info()
		must(t, err)
		must(t, l.Close())
		if info.TCX().Ifindex != 0 {
			n++
		}
	}
	if n == 1 {
		t.Error("one of two links is attached")
	}
	return n == 2
}

// TestGC: a pod whose DEL never comes.
func TestGC(t *testing.T) {
	n := newNode(t)
	if n == nil {
		return
	}
	dead, alive := newPod(t, n, "dead"), newPod(t, n, "alive")
	ofDead, ofAlive := objects(t, dead), objects(t, alive)
	must(t, netns.DeleteNamed("dead"))
	valid := map[string]any{"cniVersion": "1.1.0", "cni.dev/valid-attachments": []map[string]string{
		{"containerID": alive.ContainerID, "ifname": "eth0"},
	}}
	for _, plugin := range []string{"pktcount", "bpffs"} {
		if _, err := call(n, plugin, "GC", dead, "", valid); err != nil {
			t.Error(err)
		}
	}
	must(t, ofDead.WaitGone())
	if got := objects(t, alive); got != ofAlive {
		t.Errorf("after GC the other pod has %v, want %v", got, ofAlive)
	}
	must(t, alive.Check())
}

func TestCheck(t *testing.T) {
	n := newNode(t)
	if n == nil {
		return
	}
	a, b := newPod(t, n, "a"), newPod(t, n, "b")
	must(t, a.Check())
	swap := func(name string) []byte {
		return bytes.ReplaceAll(a.Result, []byte(a.Pins[name]), []byte(b.Pins[name]))
	}
	for _, tt := range []struct {
		name, want string
		netns      string
		result     []byte
	}{
		{"as it was", "", a.NetNS, a.Result},
		{"another pod's interface", "wanted", b.NetNS, a.Result},
		{"another pod's link", "wanted", a.NetNS, swap("pktcount_rx_")},
		{"another pod's map", "wanted", a.NetNS, swap("stats_")},
		{"no path", "stats_", a.NetNS, []byte(`{"cniVersion": "1.0.0"}`)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := call(n, "pktcount", "CHECK", a, tt.netns, prevResult(tt.result))
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("CHECK: %v, want an error with %q", err, tt.want)
			}
		})
	}
	must(t, os.Remove(a.Pins["pktcount_tx_"]))
	if err := a.Check(); err == nil || !strings.Contains(err.Error(), a.Pins["pktcount_tx_"]) {
		t.Errorf("CHECK with a pin gone: %v, want an error that names %s", err, a.Pins["pktcount_tx_"])
	}
}

// TestAdd: what it prints is what it got, in every version, and what it lacks it
// names.
func TestAdd(t *testing.T) {
	n := newNode(t)
	if n == nil {
		return
	}
	a := newPod(t, n, "a")
	empty, err := n.NewPod("empty")
	must(t, err)
	for _, version := range []string{"0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"} {
		for _, name := range []string{"pktcount_rx_", "pktcount_tx_"} {
			must(t, os.Remove(a.Pins[name]))
		}
		result := fmt.Appendf(nil, `{"cniVersion":%q,"interfaces":[{"name":%q},{"name":%q},{"name":%q}],"unknown":[1e400]}`,
			version, a.Pins["stats_"], a.Pins["pktcount_rx_"], a.Pins["pktcount_tx_"])
		keys := prevResult(result)
		keys["cniVersion"] = version
		out, err := call(n, "pktcount", "ADD", a, a.NetNS, keys)
		if err != nil || !bytes.Equal(out, result) {
			t.Errorf("cniVersion %s: ADD prints %s, %v, want %s", version, out, err, result)
		}
	}
	for _, tt := range []struct{ name, netns, result, want string }{
		{"no paths", a.NetNS, `{}`, "stats_"},
		{"no network namespace", "/run/netns/gone", string(a.Result), "/run/netns/gone"},
		{"no interface", empty.NetNS, string(a.Result), "eth0"},
		{"occupied pins", a.NetNS, string(a.Result), a.Pins["pktcount_rx_"]},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out, err := call(n, "pktcount", "ADD", a, tt.netns, prevResult([]byte(tt.result)))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("ADD: %s, %v, want an error with %q", out, err, tt.want)
			}
		})
	}
}
