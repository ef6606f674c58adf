package traffic

import (
	"fmt"
	"net/netip"
	"regexp"
	"testing"

	"github.com/cni-bpffs/cni-bpffs/test/internal/pods"
)

// datagrams is what n datagrams with size bytes of payload count.
func datagrams(n, size int) pods.Count {
	return pods.Count{Packets: uint64(n), Bytes: uint64(n * (size + pods.Overhead))}
}

func TestCounters(t *testing.T) {
	n := newNode(t)
	if n == nil {
		return
	}
	a, b, idle := newPod(t, n, "a"), newPod(t, n, "b"), newPod(t, n, "idle")
	introduce(t, a, b, idle)
	toA, err := a.Listen()
	must(t, err)
	defer toA.Close()
	toB, err := b.Listen()
	must(t, err)
	defer toB.Close()
	toHost, err := pods.Listen(netip.MustParseAddr(pods.Gateway))
	must(t, err)
	defer toHost.Close()

	for _, tt := range []struct {
		name    string
		from    *pods.Pod
		to      *pods.Listener
		n, size int
		a, b    pods.Counters
	}{
		{"a to the host", a, toHost, 1000, 100, pods.Counters{Sent: datagrams(1000, 100)}, pods.Counters{}},
		{"b to the host", b, toHost, 70, 1400, pods.Counters{}, pods.Counters{Sent: datagrams(70, 1400)}},
		{"a to b", a, toB, 301, 33, pods.Counters{Sent: datagrams(301, 33)}, pods.Counters{Received: datagrams(301, 33)}},
		{"b to a", b, toA, 17, 0, pods.Counters{Received: datagrams(17, 0)}, pods.Counters{Sent: datagrams(17, 0)}},
		{"none", a, toB, 0, 0, pods.Counters{}, pods.Counters{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			beforeA, beforeB, beforeIdle := counters(t, a), counters(t, b), counters(t, idle)
			must(t, tt.from.Send(tt.to, tt.n, tt.size))
			if got := counters(t, a).Minus(beforeA); got != tt.a {
				t.Errorf("%d datagrams of %d bytes: a counts %+v, want %+v", tt.n, tt.size, got, tt.a)
			}
			if got := counters(t, b).Minus(beforeB); got != tt.b {
				t.Errorf("%d datagrams of %d bytes: b counts %+v, want %+v", tt.n, tt.size, got, tt.b)
			}
			if got := counters(t, idle).Minus(beforeIdle); got != (pods.Counters{}) {
				t.Errorf("%d datagrams of %d bytes: a pod that has no part in it counts %+v", tt.n, tt.size, got)
			}
		})
	}
}

func TestShow(t *testing.T) {
	n := newNode(t)
	if n == nil {
		return
	}
	if out, err := n.Run(nil, nil, "pktcount", "show"); err == nil {
		t.Errorf("show on a node without a bpffs prints %q, want an error", out)
	}
	a, b := newPod(t, n, "a"), newPod(t, n, "b")
	introduce(t, a, b)
	must(t, a.Ping(b.Addr, 10))
	out, err := n.Run(nil, nil, "pktcount", "show")
	must(t, err)
	for _, p := range []*pods.Pod{a, b} {
		c := counters(t, p)
		row := fmt.Sprintf(`(?m)^\d{5} +%s +%s +eth0 +%d +%d +%d +%d$`, pods.Network, p.ContainerID,
			c.Received.Packets, c.Received.Bytes, c.Sent.Packets, c.Sent.Bytes)
		if !regexp.MustCompile(row).Match(out) {
			t.Errorf("show prints\n%s\nwant a row that matches %s", out, row)
		}
	}
	must(t, a.Del())
	out, err = n.Run(nil, nil, "pktcount", "show")
	must(t, err)
	if regexp.MustCompile(a.ContainerID).Match(out) || !regexp.MustCompile(b.ContainerID).Match(out) {
		t.Errorf("after DEL of %s show prints\n%s\nwant only %s", a.ContainerID, out, b.ContainerID)
	}
}
