package main

import (
	"fmt"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/cni-bpffs/cni-bpffs/test/internal/meminfo"
)

// Sizes of a node.
const (
	fewMounts     = 50
	someAddresses = 1000
	slabEndpoints = 20_000
	mostEndpoints = 65_000 // some IDs must be free
	atOnce        = 64
)

// A lab is a node with what was found out about it.
type lab struct {
	*node
	opts    options
	rows    []row
	noise   []float64 // of the empty program, one for each measurement
	fewest  int       // runs of the empty program in any of them
	calls   []calls
	sparse  string // a bpffs without endpoints
	crowded string // a bpffs with many
}

// measureNode measures everything in this process's mount namespace.
func measureNode(o options) error {
	// Before everything else that runs: less noise, and the same for all.
	if err := syscall.Setpriority(syscall.PRIO_PGRP, 0, -20); err != nil {
		return fmt.Errorf("raising the priority: %w", err)
	}
	n, err := newNode(o.node)
	if err != nil {
		return err
	}
	l := &lab{node: n, opts: o, fewest: o.runs}
	if o.scale {
		return l.printScale(os.Stdout)
	}
	for _, bpf := range []struct {
		name string
		dst  *string
	}{{"sparse", &l.sparse}, {"crowded", &l.crowded}} {
		if *bpf.dst, err = l.newBPF(bpf.name); err != nil {
			return err
		}
	}
	for _, step := range []struct {
		doing string
		do    func() error
	}{
		{"the memory of the kernel", l.measureSlab},
		{"the plugin beside skel", l.measurePrograms},
		{"volumes of pods", l.measureVolumes},
		{"the reference plugins", l.measureReferences},
		{"peak memory", l.measurePeak},
		{"many at once", l.measureAtOnce},
		{"system calls", l.measureCalls},
		{"many mounts and endpoints", l.measureCrowd},
	} {
		progress("measuring %s", step.doing)
		if err := step.do(); err != nil {
			return fmt.Errorf("measuring %s: %w", step.doing, err)
		}
	}
	return l.print(os.Stdout)
}

// interleave measures the subjects in turn with the empty program.
func (l *lab) interleave(subjects ...subject) (samples, error) {
	s, err := interleave(l.opts.runs, append([]subject{l.empty()}, subjects...)...)
	if err == nil {
		l.noise = append(l.noise, s.noise("empty"))
		l.fewest = min(l.fewest, len(s["empty"]))
	}
	return s, err
}

func (l *lab) measureSlab() error {
	root, err := l.newBPF("slab")
	if err != nil {
		return err
	}
	before, err := meminfo.Slab()
	if err != nil {
		return err
	}
	if err := l.fill(root, slabEndpoints); err != nil {
		return err
	}
	after, err := meminfo.Slab()
	if err != nil {
		return err
	}
	each := float64(after-before) / slabEndpoints / 1024
	l.add(row{
		what:  "kernel memory of an endpoint, 4 maps",
		value: each, unit: "KiB", of: fmt.Sprintf("Slab, 0 to %s endpoints", thousands(slabEndpoints)),
	})
	return syscall.Unmount(root, 0)
}

func (l *lab) measurePrograms() error {
	if err := l.show(l.sparse); err != nil {
		return err
	}
	p8, p4, c4 := l.newPod(resolved8), l.newPod(resolved4), l.newPod(created4)
	s, err := l.interleave(
		p8.subject("skelparse", "ADD"), subject{"ADD", p8.add}, l.subject("tuning", l.idle()),
		p8.subject("skelparse", "CHECK"), p8.subject("bpffs", "CHECK"),
		p8.subject("skelnoop", "DEL"), p8.subject("bpffs", "DEL"),
		p8.subject("skelnoop", "STATUS"), p8.subject("bpffs", "STATUS"),
		subject{"ADD 4", p4.addOnly}, subject{"ADD 4 created", c4.addOnly},
	)
	if err != nil {
		return err
	}
	l.add(s.row("an empty Go program", "empty", "", "", bar{}))
	l.add(s.row("skelparse (skel, prevResult parsed and printed), ADD", "skelparse ADD", "empty", "empty", bar{}))
	l.add(s.row("ADD, 8 maps resolved", "ADD", "empty", "empty", bar{}))
	l.add(s.row("", "ADD", "skelparse ADD", "skelparse", atMost(1.2, 1.1)))
	l.add(s.row("", "ADD", "tuning", "tuning doing nothing", atMost(1.05, 1)))
	l.add(s.row("DEL", "bpffs DEL", "skelnoop DEL", "skelnoop (skel, nothing done)", atMost(1.3, 1.15)))
	l.add(s.row("STATUS", "bpffs STATUS", "skelnoop STATUS", "skelnoop (skel, nothing done)", atMost(1.3, 1.15)))
	l.add(s.row("CHECK", "bpffs CHECK", "skelparse CHECK", "skelparse", atMost(1.2, 1.1)))
	l.add(s.row("ADD, 4 maps created", "ADD 4 created", "ADD 4", "4 resolved", atMost(1.25, 1.1)))
	return nil
}

// measureReferences measures what a node pays for anyway, as far as this machine
// has what the plugins need.
func (l *lab) measureReferences() error {
	a, err := l.newAddresses("some-addresses")
	if err != nil {
		return err
	}
	if err := a.take(someAddresses); err != nil {
		return err
	}
	all := append(l.references(), subject{fmt.Sprintf("host-local, %s addresses", thousands(someAddresses)), a.hostLocal().once})
	subjects := []subject{{"ADD", l.newPod(resolved8).addOnly}}
	fails := make(map[string]error)
	for _, sub := range all {
		if _, err := sub.once(); err != nil {
			fails[sub.name] = err
			continue
		}
		subjects = append(subjects, sub)
	}
	s, err := l.interleave(subjects...)
	if err != nil {
		return err
	}
	for _, sub := range all {
		r := s.row(sub.name, sub.name, "ADD", "our ADD, 8 maps resolved", bar{})
		if err := fails[sub.name]; err != nil {
			r = row{what: sub.name, of: fmt.Sprintf("not measured: %v", err)}
		}
		l.add(r)
	}
	return nil
}

func (l *lab) measurePeak() error {
	p := l.newPod(resolved8)
	var ours, tunings []int
	for range 2 * slowRuns {
		kib, err := p.peak()
		if err != nil {
			return err
		}
		ours = append(ours, kib)
		if kib, err = l.peak(l.idle()); err != nil {
			return err
		}
		tunings = append(tunings, kib)
	}
	our, tuning := float64(middle(ours))/1024, float64(middle(tunings))/1024
	l.add(row{what: "peak memory of ADD, 8 maps resolved", value: our, unit: "MiB", of: "resident"})
	l.add(row{value: our / tuning, unit: "×", of: "tuning doing nothing", bar: atMost(1.05, 1)})
	return nil
}

func (l *lab) measureAtOnce() error {
	p := l.newPod(resolved8)
	peers := slices.Repeat([]command{p.call("skelparse", "ADD")}, atOnce)
	s, err := interleave(max(slowRuns, l.opts.runs/5),
		subject{"skelparse", func() (took time.Duration, err error) { took, _, err = runAtOnce(peers); return took, err }},
		subject{"ADD", func() (time.Duration, error) { return p.addAtOnce(atOnce) }})
	if err != nil {
		return err
	}
	r := s.row(fmt.Sprintf("%d ADDs at once", atOnce), "ADD", "skelparse", "skelparse, throughput", atLeast(0.85, 0.95))
	r.value = 1 / r.value
	l.add(r)
	return nil
}

// measureCrowd measures ADD at the most mounts and endpoints in turn with ADD at
// the fewest, each in a mount namespace of its own.
func (l *lab) measureCrowd() error {
	calm, err := newPlace()
	if err != nil {
		return err
	}
	defer close(calm)
	crowd, err := newPlace()
	if err != nil {
		return err
	}
	defer close(crowd)
	if err := crowd.do(l.makeCrowd); err != nil {
		return err
	}
	s, err := l.interleave(
		calm.measured(subject{"few", l.newPod(resolved8).addOnly}),
		crowd.measured(subject{"many", l.newPod(resolved8).addOnly}),
	)
	if err != nil {
		return err
	}
	mounts := thousands(l.opts.mounts) + " mounts"
	l.add(s.row("ADD at "+mounts+" and "+thousands(l.opts.endpoints)+" endpoints", "many", "few",
		fmt.Sprintf("ADD at %d and 0", fewMounts), atMost(1.05, 1)))
	if s, err = l.interleave(crowd.measured(l.scan())); err == nil {
		l.add(s.row("a program that reads the mount table at "+mounts, "scan", "empty", "empty", bar{}))
	}
	return err
}

func (l *lab) makeCrowd() error {
	if err := l.fill(l.crowded, l.opts.endpoints); err != nil {
		return err
	}
	if err := l.grow(l.opts.mounts); err != nil {
		return err
	}
	return l.show(l.crowded)
}
