package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"
)

// A result is what the tests said of a mutant.
type result struct {
	mutant
	caught string // the tests that failed
	took   time.Duration
	err    error
}

// healthy wants all tests that are to catch mutants to pass without any.
func healthy(t tree, chosen []mutant) error {
	if err := t.build(); err != nil {
		return err
	}
	all := make(map[suite]bool)
	for _, m := range chosen {
		for _, s := range m.tests {
			all[s] = true
		}
	}
	for _, s := range slices.SortedFunc(maps.Keys(all), func(a, b suite) int { return strings.Compare(a.run, b.run) }) {
		failed, output, err := t.test(s)
		if err != nil {
			return err
		}
		if len(failed) > 0 {
			return fmt.Errorf("these tests fail without any mutant: %s\n%s", strings.Join(failed, ", "), output)
		}
	}
	return nil
}

// testAll tests the mutants, one at a time in each tree.
func testAll(forest []tree, chosen []mutant) []result {
	results := make([]result, len(chosen))
	next := make(chan int)
	var group sync.WaitGroup
	for _, t := range forest {
		group.Go(func() {
			for i := range next {
				results[i] = testOne(t, chosen[i])
			}
		})
	}
	for i := range chosen {
		next <- i
	}
	close(next)
	group.Wait()
	return results
}

func testOne(t tree, m mutant) result {
	r := result{mutant: m}
	start := time.Now()
	restore, err := t.mutate(m)
	if err != nil {
		r.err = err
		return r
	}
	r.caught, err = catch(t, m)
	r.took = time.Since(start)
	r.err = errors.Join(err, restore())
	return r
}

// catch returns the tests that fail in the tree of the mutant.
func catch(t tree, m mutant) (string, error) {
	if err := t.build(); err != nil {
		return "", fmt.Errorf("mutant %q: %w", m.name, err)
	}
	for _, s := range m.tests {
		failed, _, err := t.test(s)
		if err != nil {
			return "", fmt.Errorf("mutant %q: %w", m.name, err)
		}
		if len(failed) > 0 {
			return s.pkg + ": " + failed[0], nil
		}
	}
	return "", nil
}

// report prints a table. The error names the mutants that no test caught.
func report(out io.Writer, results []result) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "taken out\tso that\tcaught by\ttime")
	var errs []error
	for _, r := range results {
		caught := r.caught
		if caught == "" {
			caught = "NOBODY"
			errs = append(errs, fmt.Errorf("mutant %q survives", r.name), r.err)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%.1f s\n", r.name, r.effect, caught, r.took.Seconds())
	}
	return errors.Join(append(errs, w.Flush())...)
}
