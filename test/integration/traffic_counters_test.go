package integration

import (
	"fmt"
	"net/netip"
	"regexp"
	"testing"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/test/internal/node"
)

// datagrams is what n datagrams with size bytes of payload count.
func datagrams(n, size int) node.Count {
	return node.Count{Packets: uint64(n), Bytes: uint64(n * (size + node.Overhead))}
}

func TestPktcountCounts(t *testing.T) {
	newTraffic(t)
	a, b, idle := attachedPod(t, "a"), attachedPod(t, "b"), attachedPod(t, "idle")
	introduce(t, a, b, idle)
	toA, err := a.Listen()
	testns.Must(t, err)
	defer toA.Close()
	toB, err := b.Listen()
	testns.Must(t, err)
	defer toB.Close()
	toHost, err := node.Listen(netip.MustParseAddr(node.Gateway))
	testns.Must(t, err)
	defer toHost.Close()

	for _, tt := range []struct {
		name    string
		from    *node.Pod
		to      *node.Listener
		n, size int
		a, b    node.Counters
	}{
		{"a to the host", a, toHost, 1000, 100, node.Counters{Sent: datagrams(1000, 100)}, node.Counters{}},
		{"b to the host", b, toHost, 70, 1400, node.Counters{}, node.Counters{Sent: datagrams(70, 1400)}},
		{"a to b", a, toB, 301, 33, node.Counters{Sent: datagrams(301, 33)}, node.Counters{Received: datagrams(301, 33)}},
		{"b to a", b, toA, 17, 0, node.Counters{Received: datagrams(17, 0)}, node.Counters{Sent: datagrams(17, 0)}},
		{"none", a, toB, 0, 0, node.Counters{}, node.Counters{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			beforeA, beforeB, beforeIdle := counters(t, a), counters(t, b), counters(t, idle)
			testns.Must(t, tt.from.Send(tt.to, tt.n, tt.size))
			if got := counters(t, a).Minus(beforeA); got != tt.a {
				t.Errorf("%d datagrams of %d bytes, counted for a: got %+v, want %+v", tt.n, tt.size, got, tt.a)
			}
			if got := counters(t, b).Minus(beforeB); got != tt.b {
				t.Errorf("%d datagrams of %d bytes, counted for b: got %+v, want %+v", tt.n, tt.size, got, tt.b)
			}
			if got := counters(t, idle).Minus(beforeIdle); got != (node.Counters{}) {
				t.Errorf("%d datagrams of %d bytes, counted for a pod that has no part in it: got %+v, want nothing", tt.n, tt.size, got)
			}
		})
	}
}

func TestPktcountShow(t *testing.T) {
	newTraffic(t)
	if out, err := node.Run("pktcount", "show"); err == nil {
		t.Errorf("show on a node without a bpffs: got %q, want an error", out)
	}
	a, b := attachedPod(t, "a"), attachedPod(t, "b")
	introduce(t, a, b)
	testns.Must(t, a.Ping(b.Addr, 10))
	out, err := node.Run("pktcount", "show")
	testns.Must(t, err)
	for _, p := range []*node.Pod{a, b} {
		c := counters(t, p)
		row := fmt.Sprintf(`(?m)^\d{5} +%s +%s +eth0 +%d +%d +%d +%d$`, node.Network, p.ContainerID,
			c.Received.Packets, c.Received.Bytes, c.Sent.Packets, c.Sent.Bytes)
		if !regexp.MustCompile(row).Match(out) {
			t.Errorf("show: got\n%s\nwant a row that matches %s", out, row)
		}
	}
	testns.Must(t, a.Del())
	out, err = node.Run("pktcount", "show")
	testns.Must(t, err)
	if regexp.MustCompile(a.ContainerID).Match(out) || !regexp.MustCompile(b.ContainerID).Match(out) {
		t.Errorf("show after DEL of %s: got\n%s\nwant only %s", a.ContainerID, out, b.ContainerID)
	}
}
