package main

import (
	"fmt"
	"slices"
)

// measureGrowth measures ADD for the drawing: at more and more endpoints, then at
// more and more mounts.
func (l *lab) measureGrowth() error {
	if err := l.show(l.crowded); err != nil {
		return err
	}
	a, err := l.newAddresses("addresses")
	if err != nil {
		return err
	}
	p := l.newPod(resolved8)
	for _, count := range steps(0, l.opts.endpoints, l.opts.full) {
		if err := l.measureEndpoints(p, a, count); err != nil {
			return fmt.Errorf("%d endpoints: %w", count, err)
		}
	}
	if err := l.show(l.sparse); err != nil {
		return err
	}
	for _, count := range steps(fewMounts, l.opts.mounts, l.opts.full) {
		if err := l.grow(count); err != nil {
			return err
		}
		s, err := l.interleave(subject{"ADD", p.addOnly}, l.scan())
		if err != nil {
			return fmt.Errorf("%d mounts: %w", count, err)
		}
		l.byMounts.add(count, s)
	}
	return nil
}

func (l *lab) measureEndpoints(p *pod, a *addresses, count int) error {
	if err := l.fill(l.crowded, count); err != nil {
		return err
	}
	subjects := []subject{{"ADD", p.addOnly}}
	if count <= mostAddresses {
		if err := a.take(count); err != nil {
			return err
		}
		subjects = append(subjects, a.hostLocal())
	}
	s, err := l.interleave(subjects...)
	if err != nil {
		return err
	}
	l.byEndpoints.add(count, s)
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
