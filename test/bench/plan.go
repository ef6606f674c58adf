package main

import (
	"fmt"
	"os"
	"slices"
	"syscall"
	"time"
)

// Sizes of a node. The bars are about these, whatever the flags say.
const (
	fewMounts     = 50
	someEndpoints = 1000
	slabEndpoints = 20_000
	mostEndpoints = 65_000 // some IDs must be free
	mostAddresses = 10_000
	atOnce        = 64
)

// A lab is a node with what was found out about it.
type lab struct {
	*node
	opts        options
	rows        []row
	noise       []float64 // of the empty program, one for each measurement
	fewest      int       // runs of the empty program in any of them
	calls       []calls
	byMounts    series
	byEndpoints series
	sparse      string  // a bpffs without endpoints
	crowded     string  // a bpffs with many
	few         float64 // ADD / empty with few mounts and without endpoints
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
		{"all programs in turn", l.measurePrograms},
		{"peak memory", l.measurePeak},
		{"many at once", l.measureAtOnce},
		{"system calls", l.measureCalls},
		{"ADD alone", l.measureFew},
		{"more and more endpoints", l.measureEndpoints},
		{"more and more mounts", l.measureMounts},
	} {
		progress("measuring %s", step.doing)
		if err := step.do(); err != nil {
			return fmt.Errorf("measuring %s: %w", step.doing, err)
		}
	}
	if err := l.print(os.Stdout); err != nil || o.svg == "" {
		return err
	}
	return os.WriteFile(o.svg, l.plot(), 0o644)
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
	before, err := slab()
	if err != nil {
		return err
	}
	if err := l.fill(root, slabEndpoints); err != nil {
		return err
	}
	after, err := slab()
	if err != nil {
		return err
	}
	each := float64(after-before) / slabEndpoints / 1024
	l.add(row{
		what:  "kernel memory of an endpoint, 4 maps",
		value: each, unit: "KiB", of: fmt.Sprintf("Slab, 0 to %s endpoints", thousands(slabEndpoints)), bar: atMost(16, 0),
	})
	return syscall.Unmount(root, 0)
}

func (l *lab) measurePrograms() error {
	if err := l.show(l.sparse); err != nil {
		return err
	}
	p8, p4, c4 := l.newPod(resolved8), l.newPod(resolved4), l.newPod(created4)
	s, err := l.interleave(
		subject{"ADD", p8.add}, l.peer("tuning", ""),
		subject{"CHECK", p8.check}, l.peer("bandwidth", ""),
		subject{"DEL", p8.del}, l.peer("loopback", ""),
		l.status(), l.peer("portmap", `,"backend":"iptables"`),
		subject{"ADD 4", p4.addOnly}, l.peer("sbr", `,"table":100`),
		subject{"ADD 4 created", c4.addOnly},
	)
	if err != nil {
		return err
	}
	l.add(s.row("an empty Go program", "empty", "", "", bar{}))
	l.add(s.row("ADD, 8 maps resolved", "ADD", "empty", "empty", atMost(1.9, 1.6)))
	l.add(s.row("", "ADD", "tuning", "tuning's ADD", atMost(0.9, 0.75)))
	l.add(s.row("DEL", "DEL", "empty", "empty", atMost(1.7, 1.45)))
	l.add(s.row("CHECK", "CHECK", "empty", "empty", atMost(1.9, 0)))
	l.add(s.row("STATUS", "STATUS", "empty", "empty", atMost(1.7, 0)))
	l.add(s.row("ADD, 4 maps resolved", "ADD 4", "empty", "empty", bar{}))
	l.add(s.row("ADD, 4 maps created", "ADD 4 created", "ADD 4", "4 resolved", atMost(1.25, 0)))
	for _, peer := range []string{"tuning", "bandwidth", "loopback", "portmap", "sbr"} {
		l.add(s.row(peer+"'s ADD with nothing to do", peer, "empty", "empty", bar{}))
	}
	return nil
}

func (l *lab) measurePeak() error {
	p := l.newPod(resolved8)
	var peaks []int
	for range slowRuns {
		kib, err := p.peak()
		if err != nil {
			return err
		}
		peaks = append(peaks, kib)
	}
	slices.Sort(peaks)
	l.add(row{
		what: "peak memory of ADD, 8 maps resolved", value: float64(peaks[len(peaks)/2]) / 1024,
		unit: "MiB", of: "resident", bar: atMost(3.5, 2.7),
	})
	return nil
}

func (l *lab) measureAtOnce() error {
	p := l.newPod(resolved8)
	s, err := interleave(max(slowRuns, l.opts.runs/10),
		subject{"empty", func() (time.Duration, error) { return l.emptyAtOnce(atOnce) }},
		subject{"ADD", func() (time.Duration, error) { return p.addAtOnce(atOnce) }})
	if err != nil {
		return err
	}
	l.add(s.row(fmt.Sprintf("%d empty at once", atOnce), "empty", "", "", bar{}))
	r := s.row(fmt.Sprintf("%d ADDs at once", atOnce), "ADD", "empty", "empty, throughput", atLeast(0.6, 0.75))
	r.value = 1 / r.value
	l.add(r)
	return nil
}

// measureFew measures what measureBoth is compared with.
func (l *lab) measureFew() error {
	if err := l.show(l.sparse); err != nil {
		return err
	}
	s, err := l.interleave(subject{"ADD", l.newPod(resolved8).addOnly})
	l.few = s.ratio("ADD", "empty")
	return err
}

func (l *lab) measureEndpoints() error {
	if err := l.show(l.crowded); err != nil {
		return err
	}
	addresses := l.hostLocal()
	p := l.newPod(resolved8)
	for _, count := range steps(0, l.opts.endpoints, l.opts.full) {
		if err := l.fill(l.crowded, count); err != nil {
			return err
		}
		subjects := []subject{{"ADD", p.addOnly}}
		if count <= mostAddresses {
			if err := l.take(count); err != nil {
				return err
			}
			subjects = append(subjects, addresses)
		}
		s, err := l.interleave(subjects...)
		if err != nil {
			return fmt.Errorf("%d endpoints: %w", count, err)
		}
		l.addEndpointRows(count, s)
	}
	return nil
}

func (l *lab) addEndpointRows(count int, s samples) {
	l.byEndpoints.add(count, s)
	number := thousands(count)
	l.add(s.row("ADD at "+number+" endpoints", "ADD", "empty", "empty", bar{}))
	if s["host-local"] == nil {
		return
	}
	r := s.row("host-local's ADD at "+number+" addresses", "host-local", "ADD", "our ADD", bar{})
	if count == someEndpoints {
		r.bar = atLeast(5, 0)
	}
	l.add(r)
}

func (l *lab) measureMounts() error {
	if err := l.show(l.sparse); err != nil {
		return err
	}
	p := l.newPod(resolved8)
	for _, count := range steps(fewMounts, l.opts.mounts, l.opts.full) {
		if err := l.grow(count); err != nil {
			return err
		}
		s, err := l.interleave(subject{"ADD", p.addOnly}, l.scan())
		if err != nil {
			return fmt.Errorf("%d mounts: %w", count, err)
		}
		l.byMounts.add(count, s)
		l.add(s.row("ADD at "+thousands(count)+" mounts", "ADD", "empty", "empty", bar{}))
		l.add(s.row("a program that reads the mount table", "scan", "empty", "empty", bar{}))
	}
	return l.measureBoth(p)
}

// measureBoth measures with the most mounts and the most endpoints.
func (l *lab) measureBoth(p *pod) error {
	if err := l.show(l.crowded); err != nil {
		return err
	}
	s, err := l.interleave(subject{"ADD", p.addOnly})
	if err != nil {
		return err
	}
	what := fmt.Sprintf("ADD at %s mounts and %s endpoints", thousands(l.opts.mounts), thousands(l.opts.endpoints))
	l.add(s.row(what, "ADD", "empty", "empty", bar{}))
	l.add(row{
		value: s.ratio("ADD", "empty") / l.few, unit: "×",
		of: fmt.Sprintf("that of %d and 0", fewMounts), bar: atMost(1.05, 0),
	})
	return nil
}

// steps returns the numbers from least to most to measure at.
func steps(least, most int, full bool) []int {
	all := []int{least}
	for decade := 100; decade < most; decade *= 10 {
		all = append(all, decade)
		if full {
			all = append(all, 2*decade, 5*decade)
		}
	}
	all = slices.DeleteFunc(all, func(n int) bool { return n >= most || n != least && n < 4*least })
	return append(all, most)
}
