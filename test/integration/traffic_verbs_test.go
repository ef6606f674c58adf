package integration

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf/link"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/test/internal/node"
)

// TestPktcountDel: after it the kernel has neither the map nor the links nor the programs.
func TestPktcountDel(t *testing.T) {
	newTraffic(t)
	a, b := attachedPod(t, "a"), attachedPod(t, "b")
	ofA, ofB := objects(t, a), objects(t, b)
	t.Logf("a: %v; b: %v", ofA, ofB)
	testns.Must(t, a.Del())
	testns.Must(t, ofA.WaitGone())
	testns.Must(t, a.Del())
	if got := objects(t, b); got != ofB {
		t.Errorf("objects of b after DEL of a: got %v, want %v", got, ofB)
	}
	testns.Must(t, b.Check())
	testns.Must(t, b.Del())
	testns.Must(t, ofB.WaitGone())
	if left, err := os.ReadDir("/sys/fs/bpf/tc/globals"); err != nil || len(left) > 0 {
		t.Errorf("left in the map directory: got %v (%v), want nothing", left, err)
	}
}

// TestPktcountDelAlone calls DEL of pktcount without the others of the chain.
func TestPktcountDelAlone(t *testing.T) {
	newTraffic(t)
	a, b := attachedPod(t, "a"), attachedPod(t, "b")
	empty := newPod(t, "empty")
	of := objects(t, b)
	for _, tt := range []struct {
		name, netns string
		keys        keys
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
			ofPod("pktcount", b, tt.netns).Succeed(t, "DEL", pktcountConf(tt.keys))
			if got := objects(t, b); got != of {
				t.Errorf("objects of b: got %v, want %v, for the pins belong to bpffs", got, of)
			}
			if got := attached(t, b); got != tt.attached {
				t.Errorf("attached: got %v, want %v", got, tt.attached)
			}
		})
	}
	testns.Must(t, b.Del())
	testns.Must(t, of.WaitGone())
	ofPod("pktcount", b, b.NetNS).Succeed(t, "DEL", pktcountConf(prevResult(b.Result))) // the pins are gone
}

// attached reports whether both links of the pod are at an interface.
func attached(t *testing.T, p *node.Pod) bool {
	t.Helper()
	n := 0
	for _, name := range []string{"pktcount_rx_", "pktcount_tx_"} {
		l, err := link.LoadPinnedLink(p.Pins[name], nil)
		testns.Must(t, err)
		info, err := l.Info()
		testns.Must(t, err)
		testns.Must(t, l.Close())
		if info.TCX().Ifindex != 0 {
			n++
		}
	}
	if n == 1 {
		t.Error("attached links: got one, want none or two")
	}
	return n == 2
}

// TestPktcountGC: a pod whose DEL never comes.
func TestPktcountGC(t *testing.T) {
	newTraffic(t)
	dead, alive := attachedPod(t, "dead"), attachedPod(t, "alive")
	ofDead, ofAlive := objects(t, dead), objects(t, alive)
	testns.Must(t, dead.Crash())
	valid := keys{"cniVersion": "1.1.0", "cni.dev/valid-attachments": []map[string]string{
		{"containerID": alive.ContainerID, "ifname": "eth0"},
	}}
	for _, plugin := range []string{"pktcount", "bpffs"} {
		ofPod(plugin, dead, "").Succeed(t, "GC", pktcountConf(valid, keys{"type": plugin}))
	}
	testns.Must(t, ofDead.WaitGone())
	if got := objects(t, alive); got != ofAlive {
		t.Errorf("objects of the other pod after GC: got %v, want %v", got, ofAlive)
	}
	testns.Must(t, alive.Check())
}

func TestPktcountCheck(t *testing.T) {
	newTraffic(t)
	a, b := attachedPod(t, "a"), attachedPod(t, "b")
	testns.Must(t, a.Check())
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
			got := ofPod("pktcount", a, tt.netns).Call(t, "CHECK", pktcountConf(prevResult(tt.result)))
			if (got.Status == 0) != (tt.want == "") || !strings.Contains(got.Stdout, tt.want) {
				t.Errorf("CHECK: got %+v, want an error with %q", got, tt.want)
			}
		})
	}
	testns.Must(t, os.Remove(a.Pins["pktcount_tx_"]))
	if err := a.Check(); err == nil || !strings.Contains(err.Error(), a.Pins["pktcount_tx_"]) {
		t.Errorf("CHECK with a pin gone: got %v, want an error that names %s", err, a.Pins["pktcount_tx_"])
	}
}

// TestPktcountAdd: what it prints is what it got, in every version, and what it lacks it
// names.
func TestPktcountAdd(t *testing.T) {
	newTraffic(t)
	a := attachedPod(t, "a")
	empty := newPod(t, "empty")
	for _, version := range []string{"0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"} {
		for _, name := range []string{"pktcount_rx_", "pktcount_tx_"} {
			testns.Must(t, os.Remove(a.Pins[name]))
		}
		want := []string{a.Pins["stats_"], a.Pins["pktcount_rx_"], a.Pins["pktcount_tx_"]}
		prev := keys{"cniVersion": version, "interfaces": []keys{{"name": want[0]}, {"name": want[1]}, {"name": want[2]}}}
		out := ofPod("pktcount", a, a.NetNS).Succeed(t, "ADD", pktcountConf(keys{"cniVersion": version, "prevResult": prev})).Stdout
		if got := paths(t, out); !slices.Equal(got, want) || decode(t, out)["cniVersion"] != version {
			t.Errorf("cniVersion %s: got %s, want a result of this version with %q", version, out, want)
		}
	}
	for _, tt := range []struct{ name, netns, result, want string }{
		{"no paths", a.NetNS, `{}`, "stats_"},
		{"no network namespace", "/run/netns/gone", string(a.Result), "/run/netns/gone"},
		{"no interface", empty.NetNS, string(a.Result), "eth0"},
		{"occupied pins", a.NetNS, string(a.Result), a.Pins["pktcount_rx_"]},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := ofPod("pktcount", a, tt.netns).Call(t, "ADD", pktcountConf(prevResult([]byte(tt.result))))
			if got.Status == 0 || !strings.Contains(got.Stdout, tt.want) {
				t.Errorf("ADD: got %+v, want an error with %q", got, tt.want)
			}
		})
	}
}
