package main

import (
	"fmt"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// hostVeth returns the index of the host's end of the veth pair whose other end
// is the interface ifName in the network namespace at path. It asks the kernel:
// prevResult lists interfaces, but not in an order that says which is whose peer.
func hostVeth(path, ifName string) (int, error) {
	ns, err := netns.GetFromPath(path)
	if err != nil {
		return 0, fmt.Errorf("opening the network namespace %q: %w", path, err)
	}
	defer ns.Close()
	pod, err := netlink.NewHandleAt(ns)
	if err != nil {
		return 0, err
	}
	defer pod.Close()
	inside, err := pod.LinkByName(ifName)
	if err != nil {
		return 0, fmt.Errorf("%s in %s: %w", ifName, path, err)
	}
	if inside.Type() != "veth" {
		return 0, fmt.Errorf("%s in %s is a %s, wanted a veth", ifName, path, inside.Type())
	}
	// The index is one of the namespace that the peer is in, which is to be ours.
	outside, err := netlink.LinkByIndex(inside.Attrs().ParentIndex)
	if err != nil || outside.Type() != "veth" || outside.Attrs().ParentIndex != inside.Attrs().Index {
		return 0, fmt.Errorf("the peer of %s in %s is not in this network namespace", ifName, path)
	}
	return outside.Attrs().Index, nil
}
