package main

import (
	"fmt"
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

// idle is the ADD of tuning with nothing to do.
func (n *node) idle() command {
	return n.call("tuning", "ADD", containerID("idle", 0), config("tuning", "", prevResult))
}

// A pod is a container, a new one with each add, that has the maps.
type pod struct {
	node   *node
	maps   string
	args   string // CNI_ARGS
	number int
	result []byte
}

func (n *node) newPod(maps string) *pod {
	return &pod{node: n, maps: `,"maps":[` + maps + `]`}
}

// call returns the command with which the verb of ours is called, for any plugin.
func (p *pod) call(plugin, verb string) command {
	prev := prevResult
	switch {
	case verb == "STATUS":
		prev = "null"
	case verb != "ADD" && p.result != nil:
		prev = string(p.result)
	}
	c := p.node.call(plugin, verb, containerID("pod"+p.maps, p.number), config(plugin, p.maps, prev))
	if p.args != "" {
		c.env = append(c.env, "CNI_ARGS="+p.args)
	}
	return c
}

// subject is about a verb, called for what the last add made.
func (p *pod) subject(plugin, verb string) subject {
	return subject{plugin + " " + verb, func() (time.Duration, error) {
		o, err := p.node.time(p.call(plugin, verb))
		return o.took, err
	}}
}

func (p *pod) add() (time.Duration, error) {
	p.number++
	o, err := p.node.time(p.call("bpffs", "ADD"))
	p.result = o.stdout
	return o.took, err
}

func (p *pod) del() error {
	_, err := p.call("bpffs", "DEL").run()
	return err
}

// addOnly is like add, with the DEL beyond the time.
func (p *pod) addOnly() (time.Duration, error) {
	took, err := p.add()
	if err != nil {
		return 0, err
	}
	return took, p.del()
}

// peak returns the peak resident memory of an ADD in KiB.
func (p *pod) peak() (int, error) {
	p.number++
	kib, err := p.node.peak(p.call("bpffs", "ADD"))
	if err != nil {
		return 0, err
	}
	return kib, p.del()
}

// peakOf returns the peak resident memory of a verb in KiB, called after an ADD.
func (p *pod) peakOf(verb string) (int, error) {
	if verb == "ADD" {
		return p.peak()
	}
	if _, err := p.add(); err != nil {
		return 0, err
	}
	kib, err := p.node.peak(p.call("bpffs", verb))
	if err != nil {
		return 0, err
	}
	return kib, p.del()
}

// peak returns the peak resident memory of the command in KiB.
func (n *node) peak(c command) (kib int, err error) {
	c.argv = append([]string{n.path("bin/peak")}, c.argv...)
	o, err := c.run()
	if err != nil {
		return 0, err
	}
	if _, err := fmt.Sscan(string(o.stderr), &kib); err != nil {
		return 0, fmt.Errorf("output of peak: %q: %w", o.stderr, err)
	}
	return kib, nil
}

// addAtOnce is that many ADDs at the same time. The DELs follow one by one.
func (p *pod) addAtOnce(many int) (time.Duration, error) {
	adds, dels := make([]command, many), make([]command, many)
	for i := range adds {
		p.number++
		adds[i], dels[i] = p.call("bpffs", "ADD"), p.call("bpffs", "DEL")
	}
	took, _, err := runAtOnce(adds)
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
