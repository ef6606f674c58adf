package main

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"time"
)

// call returns the command with which a runtime calls a plugin.
func (n *node) call(plugin, verb, id string, conf []byte) command {
	return command{
		argv: []string{n.path("bin/" + plugin)},
		env: []string{
			"CNI_COMMAND=" + verb, "CNI_CONTAINERID=" + id, "CNI_NETNS=" + n.netns,
			"CNI_IFNAME=eth0", "CNI_PATH=" + n.path("bin"), "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
		},
		stdin: conf,
	}
}

// time runs the command after a process that is the same for all. The one before
// has an effect of several percent: it fills or empties the caches.
func (n *node) time(c command) (outcome, error) {
	if _, err := n.call("before", "ADD", "none", nil).run(); err != nil {
		return outcome{}, err
	}
	return c.run()
}

// subject is about a command that is the same every time.
func (n *node) subject(name string, c command) subject {
	return subject{name, func() (time.Duration, error) {
		o, err := n.time(c)
		return o.took, err
	}}
}

// empty is the program that does nothing, called like a plugin.
func (n *node) empty() subject {
	return n.subject("empty", n.call("empty", "ADD", "none", nil))
}

// scan is a program that reads the whole mount table.
func (n *node) scan() subject {
	return n.subject("scan", n.call("scan", "ADD", "none", nil))
}

// peer is the ADD of a plugin with nothing to do.
func (n *node) peer(plugin, keys string) subject {
	c := n.call(plugin, "ADD", containerID("peer", 0), config(plugin, keys, prevResult))
	if plugin == "sbr" { // it wants an address, but one of another interface
		c.env = append(c.env, "CNI_IFNAME=net1")
	}
	return n.subject(plugin, c)
}

// A pod is a container, a new one with each add, that has the maps.
type pod struct {
	node   *node
	maps   string
	number int
	result []byte
}

func (n *node) newPod(maps string) *pod {
	return &pod{node: n, maps: `,"maps":[` + maps + `]`}
}

func (p *pod) call(verb, prev string) command {
	return p.node.call("bpffs", verb, containerID("pod"+p.maps, p.number), config("bpffs", p.maps, prev))
}

func (p *pod) add() (time.Duration, error) {
	p.number++
	o, err := p.node.time(p.call("ADD", prevResult))
	p.result = o.stdout
	return o.took, err
}

func (p *pod) check() (time.Duration, error) {
	o, err := p.node.time(p.call("CHECK", string(p.result)))
	return o.took, err
}

func (p *pod) del() (time.Duration, error) {
	o, err := p.node.time(p.call("DEL", string(p.result)))
	return o.took, err
}

// addOnly is like add, with the DEL beyond the time.
func (p *pod) addOnly() (time.Duration, error) {
	took, err := p.add()
	if err != nil {
		return 0, err
	}
	_, err = p.call("DEL", string(p.result)).run()
	return took, err
}

// peak returns the peak resident memory of an ADD in KiB.
func (p *pod) peak() (kib int, err error) {
	p.number++
	c := p.call("ADD", prevResult)
	c.argv = append([]string{p.node.path("bin/peak")}, c.argv...)
	o, err := c.run()
	if err != nil {
		return 0, err
	}
	if _, err := fmt.Sscan(string(o.stderr), &kib); err != nil {
		return 0, fmt.Errorf("output of peak: %q: %w", o.stderr, err)
	}
	p.result = o.stdout
	_, err = p.call("DEL", string(p.result)).run()
	return kib, err
}

// status is STATUS with maps declared.
func (n *node) status() subject {
	return n.subject("STATUS", n.newPod(resolved8).call("STATUS", "null"))
}

// emptyAtOnce is that many empty programs at the same time.
func (n *node) emptyAtOnce(many int) (time.Duration, error) {
	commands := make([]command, many)
	for i := range commands {
		commands[i] = n.call("empty", "ADD", "none", nil)
	}
	return runAtOnce(commands)
}

// addAtOnce is that many ADDs at the same time. The DELs follow one by one.
func (p *pod) addAtOnce(many int) (time.Duration, error) {
	adds, dels := make([]command, many), make([]command, many)
	for i := range adds {
		p.number++
		adds[i], dels[i] = p.call("ADD", prevResult), p.call("DEL", prevResult)
	}
	took, err := runAtOnce(adds)
	if err != nil {
		return 0, err
	}
	for _, d := range dels {
		if _, err := d.run(); err != nil {
			return 0, err
		}
	}
	return took, nil
}

// hostLocal is an ADD of host-local. Its address is free again afterwards.
func (n *node) hostLocal() subject {
	number := 0
	dir := n.path("addresses")
	conf := hostLocal(dir)
	return subject{"host-local", func() (time.Duration, error) {
		number++
		o, err := n.time(n.call("host-local", "ADD", containerID("address", number), conf))
		if err != nil {
			return 0, err
		}
		var result struct {
			IPs []struct{ Address netip.Prefix }
		}
		if err := json.Unmarshal(o.stdout, &result); err != nil || len(result.IPs) != 1 {
			return 0, fmt.Errorf("output %q: %w", o.stdout, err)
		}
		return o.took, os.Remove(filepath.Join(dir, netName, result.IPs[0].Address.Addr().String()))
	}}
}
