package main

import (
	"fmt"
	"io"
	"net/netip"
	"strings"

	"github.com/cni-bpffs/cni-bpffs/test/internal/node"
)

// How many pings each pod sends.
const (
	pings1 = 5
	pings2 = 20
)

// count plays two pods that ping the gateway.
func count(out io.Writer) error {
	say(out, "Two pods with the chain bridge, bpffs, pktcount of examples/pktcount/pktcount.conflist:")
	pod1, err := attach(out, "pod1")
	if err != nil {
		return err
	}
	pod2, err := attach(out, "pod2")
	if err != nil {
		return err
	}
	if err := countPings(out, pod1, pod2); err != nil {
		return err
	}
	return detach(out, pod1, pod2)
}

func say(out io.Writer, format string, args ...any) {
	fmt.Fprintf(out, "\n# "+format+"\n", args...)
}

// attach attaches a pod to the network.
func attach(out io.Writer, name string) (*node.Pod, error) {
	p, err := node.NewPod(name)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(out, "$ cnitool add %s %s\n", node.Network, p.NetNS)
	if err := p.Add(); err != nil {
		return nil, err
	}
	fmt.Fprintf(out, "  %s is the container %s at %v with the map %s\n", name, p.ContainerID, p.Addr, p.Pins["stats_"])
	return p, nil
}

// countPings shows what pings do to the counters.
func countPings(out io.Writer, pod1, pod2 *node.Pod) error {
	say(out, "Each pod pings the gateway %s once, for ARP. The counters, read from each pod's own map:", node.Gateway)
	if err := ping(pod1, 1); err != nil {
		return err
	}
	if err := ping(pod2, 1); err != nil {
		return err
	}
	if err := show(out); err != nil {
		return err
	}
	say(out, "Now pod1 pings %d times, and pod2 %d times:", pings1, pings2)
	if err := pingCounted(pod1, pod2, pings1); err != nil {
		return err
	}
	if err := pingCounted(pod2, pod1, pings2); err != nil {
		return err
	}
	return show(out)
}

func ping(p *node.Pod, n int) error {
	return p.Ping(netip.MustParseAddr(node.Gateway), n)
}

// pingCounted pings from a pod. Its map must count the requests and the replies
// and nothing else, and the other's nothing.
func pingCounted(from, other *node.Pod, n int) error {
	before, err := from.Counters()
	if err != nil {
		return err
	}
	beforeOther, err := other.Counters()
	if err != nil {
		return err
	}
	if err := ping(from, n); err != nil {
		return err
	}
	after, err := from.Counters()
	if err != nil {
		return err
	}
	afterOther, err := other.Counters()
	if err != nil {
		return err
	}
	got := after.Minus(before)
	if want := uint64(n); got.Sent.Packets != want || got.Received.Packets != want || afterOther != beforeOther {
		return fmt.Errorf("counted after %d pings from %s: got %+v, for %s %+v, want as many requests and replies, and nothing",
			n, from.Name, got, other.Name, afterOther.Minus(beforeOther))
	}
	return nil
}

func show(out io.Writer) error {
	table, err := node.Run("pktcount", "show")
	fmt.Fprintf(out, "$ pktcount show\n%s", indent(string(table)))
	return err
}

func indent(text string) string {
	return "  " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n  ") + "\n"
}

// detach shows that nothing outlives a pod's DEL.
func detach(out io.Writer, all ...*node.Pod) error {
	say(out, "DEL removes everything. The demo looks each object up by its kernel ID, because a missing path proves little:")
	for _, p := range all {
		objects, err := p.Objects()
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "  %s has %v\n$ cnitool del %s %s\n", p.Name, objects, node.Network, p.NetNS)
		if err := p.Del(); err != nil {
			return err
		}
		if err := objects.WaitGone(); err != nil {
			return err
		}
		fmt.Fprintln(out, "  all are gone from the kernel")
	}
	return nil
}
