package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/containernetworking/cni/pkg/types"
	"github.com/containernetworking/plugins/pkg/ip"
	"github.com/containernetworking/plugins/pkg/ns"
	"github.com/vishvananda/netlink"
)

// references returns the ADDs of plugins that do the least real work they exist
// for. host-local is measured apart.
func (n *node) references() []subject {
	const port = `,"backend":%q,"runtimeConfig":{"portMappings":[{"hostPort":8080,"containerPort":80,"protocol":"tcp"}]}`
	nothing := func() error { return nil }
	return []subject{
		n.reference("tuning", "one sysctl", `,"sysctl":{"net.core.somaxconn":"500"}`, nothing),
		n.reference("bandwidth", "one limit", `,"ingressRate":8000000,"ingressBurst":8000000`, removeLimit),
		n.reference("sbr", "one rule", `,"table":100`, nothing),
		n.reference("portmap", "one port by nftables", fmt.Sprintf(port, "nftables"), nothing),
		n.reference("portmap", "one port by iptables", fmt.Sprintf(port, "iptables"), nothing),
		n.reference("firewall", "one address by iptables", `,"backend":"iptables"`, nothing),
	}
}

// reference is the ADD of the plugin. What it made is gone again afterwards: undo
// does what the plugin's DEL leaves to others.
func (n *node) reference(plugin, work, keys string, undo func() error) subject {
	conf := config(plugin, keys, prevResult)
	id := containerID("reference", 0)
	return subject{plugin + ", " + work, func() (time.Duration, error) {
		if n.unwired != nil {
			return 0, fmt.Errorf("no interface for the container: %w", n.unwired)
		}
		o, err := n.time(n.call(plugin, "ADD", id, conf))
		if err != nil {
			return 0, cause(o, err)
		}
		if _, err := n.call(plugin, "DEL", id, conf).run(); err != nil {
			return 0, err
		}
		return o.took, undo()
	}}
}

// cause returns the end of the plugin's message, where it says what is missing.
func cause(o outcome, err error) error {
	var said types.Error
	if json.Unmarshal(o.stdout, &said) != nil {
		return err
	}
	parts := strings.Split(said.Error(), ": ")
	return errors.New(strings.Join(parts[max(0, len(parts)-2):], ": "))
}

// wire makes the interfaces of prevResult that the reference plugins work on:
// hostEnd on the node, eth0 in the container.
func wire(container ns.NetNS) error {
	err := container.Do(func(host ns.NetNS) error {
		if _, _, err := ip.SetupVethWithName("eth0", hostEnd, 1500, "", host); err != nil {
			return err
		}
		return address("eth0", "10.244.77.2")
	})
	if err != nil {
		return err
	}
	return address(hostEnd, "10.244.77.1")
}

func address(link, of string) error {
	l, err := netlink.LinkByName(link)
	if err != nil {
		return err
	}
	return netlink.AddrAdd(l, &netlink.Addr{IPNet: &net.IPNet{IP: net.ParseIP(of), Mask: net.CIDRMask(24, 32)}})
}

// removeLimit does what the removal of the pod's interfaces does on a real node.
func removeLimit() error {
	l, err := netlink.LinkByName(hostEnd)
	if err != nil {
		return err
	}
	limit := &netlink.Tbf{QdiscAttrs: netlink.QdiscAttrs{
		LinkIndex: l.Attrs().Index, Parent: netlink.HANDLE_ROOT, Handle: netlink.MakeHandle(1, 0),
	}}
	return netlink.QdiscDel(limit)
}
