package main

import (
	"fmt"
	"io"
	"net/netip"
	"strings"

	"github.com/cni-bpffs/cni-bpffs/test/internal/pods"
)

// How many pings each pod sends.
const (
	pings1 = 5
	pings2 = 20
)

// story plays two pods that ping the gateway.
func story(out io.Writer, n *pods.Node) error {
	say(out, "Two pods with the chain bridge, bpffs, pktcount of examples/pktcount/pktcount.conflist:")
	pod1, err := add(out, n, "pod1")
	if err != nil {
		return err
	}
	pod2, err := add(out, n, "pod2")
	if err != nil {
		return err
	}
	if err := count(out, n, pod1, pod2); err != nil {
		return err
	}
	return remove(out, pod1, pod2)
}

func say(out io.Writer, format string, args ...any) {
	fmt.Fprintf(out, "\n# "+format+"\n", args...)
}

// add attaches a pod to the network.
func add(out io.Writer, n *pods.Node, name string) (*pods.Pod, error) {
	p, err := n.NewPod(name)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(out, "$ cnitool add %s %s\n", pods.Network, p.NetNS)
	if err := p.Add(); err != nil {
		return nil, err
	}
	fmt.Fprintf(out, "  %s is the container %s at %v with the map %s\n", name, p.ContainerID, p.Addr, p.Pins["stats_"])
	return p, nil
}

// count shows what pings do to the counters.
func count(out io.Writer, n *pods.Node, pod1, pod2 *pods.Pod) error {
	say(out, "Each pings the gateway %s once, so that ARP is over. The counters, out of each pod's own map:", pods.Gateway)
	if err := ping(pod1, 1); err != nil {
		return err
	}
	if err := ping(pod2, 1); err != nil {
		return err
	}
	if err := show(out, n); err != nil {
		return err
	}
	say(out, "Now pod1 pings %d times, and pod2 %d times:", pings1, pings2)
	if err := pingCounted(pod1, pod2, pings1); err != nil {
		return err
	}
	if err := pingCounted(pod2, pod1, pings2); err != nil {
		return err
	}
	return show(out, n)
}

func ping(p *pods.Pod, n int) error {
	return p.Ping(netip.MustParseAddr(pods.Gateway), n)
}

// pingCounted pings from a pod. Its map must count the requests and the replies
// and nothing else, and the other's nothing.
func pingCounted(from, other *pods.Pod, n int) error {
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
		return fmt.Errorf("after %d pings from %s its counters grew by %+v, those of %s by %+v",
			n, from.Name, got, other.Name, afterOther.Minus(beforeOther))
	}
	return nil
}

func show(out io.Writer, n *pods.Node) error {
	table, err := n.Run(nil, nil, "pktcount", "show")
	fmt.Fprintf(out, "$ pktcount show\n%s", indent(string(table)))
	return err
}

func indent(text string) string {
	return "  " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n  ") + "\n"
}

// remove shows that nothing outlives a pod's DEL.
func remove(out io.Writer, all ...*pods.Pod) error {
	say(out, "DEL takes it all with it. The kernel is asked by ID, for a path that is gone proves little:")
	for _, p := range all {
		objects, err := p.Objects()
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "  %s has %v\n$ cnitool del %s %s\n", p.Name, objects, pods.Network, p.NetNS)
		if err := p.Del(); err != nil {
			return err
		}
		if err := objects.WaitGone(); err != nil {
			return err
		}
		fmt.Fprintln(out, "  none of them is in the kernel any more")
	}
	return nil
}
