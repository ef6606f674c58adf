package bpffs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// fill makes n endpoints of the network old, as a node has them after a long time.
func fill(tb testing.TB, root string, n int) {
	tb.Helper()
	e, err := CreateEndpoints(tb.Context(), root)
	testns.Must(tb, err)
	defer e.Close()
	for i := range n {
		_, _, err := e.Allocate(Attachment{"old", strconv.Itoa(i), "eth0"}, "", "policy_", "calls_")
		testns.Must(tb, err)
	}
}

// roleCollect prints how long a GC takes that keeps nothing.
func roleCollect(stdout io.Writer) error {
	ctx := context.Background()
	e, err := OpenEndpoints(ctx, os.Getenv(envRoot))
	if err != nil {
		return err
	}
	defer e.Close()
	fmt.Fprintln(stdout, "open")
	start := time.Now()
	err = e.Collect(ctx, "old", func(Attachment) bool { return false })
	fmt.Fprintln(stdout, time.Since(start).Nanoseconds())
	return err
}

// roleInspect is roleCollect for whoever looks at everything.
func roleInspect(stdout io.Writer) error {
	fmt.Fprintln(stdout, "starting")
	start := time.Now()
	seen, err := Inspect(context.Background(), os.Getenv(envRoot), "")
	fmt.Fprintln(stdout, time.Since(start).Nanoseconds())
	if err == nil && len(seen.Endpoints) == 0 {
		err = errors.New("inspected no endpoints, want all")
	}
	return err
}

// work runs the role in a process, and returns how long its work takes, when done.
func work(tb testing.TB, role, root string) <-chan time.Duration {
	tb.Helper()
	cmd := testns.Command(role, envRoot+"="+root)
	stdout, err := cmd.StdoutPipe()
	testns.Must(tb, err)
	testns.Must(tb, cmd.Start())
	var began string
	_, err = fmt.Fscanln(stdout, &began)
	testns.Must(tb, err)
	done := make(chan time.Duration, 1)
	go func() {
		defer close(done)
		var took int64
		if _, err := fmt.Fscanln(stdout, &took); err != nil {
			tb.Errorf("the process in role %s: %v", role, err)
		}
		if err := cmd.Wait(); err != nil {
			tb.Errorf("the process in role %s: %v", role, err)
		}
		done <- time.Duration(took)
	}()
	return done
}

// adds lets n pods come at once, again and again until done, and returns how long
// each ADD waited for the records and had them.
func adds(tb testing.TB, root string, n int, done <-chan time.Duration) (waits []time.Duration, took time.Duration) {
	tb.Helper()
	var mu sync.Mutex
	for {
		var group sync.WaitGroup
		for i := range n {
			group.Go(func() {
				start := time.Now()
				a := Attachment{"new", strconv.Itoa(i), "eth0"}
				if err := addOnce(root, a); err != nil {
					tb.Errorf("ADD of %v: %v", a, err)
				}
				mu.Lock()
				defer mu.Unlock()
				waits = append(waits, time.Since(start))
			})
		}
		group.Wait()
		select {
		case took = <-done:
			slices.Sort(waits)
			return waits, took
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// addOnce is an ADD, and the DEL without which there would be another node later.
func addOnce(root string, a Attachment) error {
	e, err := CreateEndpoints(context.Background(), root)
	if err != nil {
		return err
	}
	defer e.Close()
	id, _, err := e.Allocate(a, "", "policy_")
	return errors.Join(err, e.SetDetails(id, Details{NetNS: "/run/netns/pod"}), e.Release(a))
}

// nobodyWaits reports how long ADDs took beside somebody who works through all
// endpoints of a crowded node.
func nobodyWaits(tb testing.TB, role string, endpoints, n int) (worst, took time.Duration) {
	tb.Helper()
	root := newMapDir(tb).Root()
	fill(tb, root, endpoints)
	alone := time.After(time.Second)
	idle := make(chan time.Duration)
	go func() { <-alone; idle <- time.Second }()
	before, _ := adds(tb, root, n, idle)
	waits, took := adds(tb, root, n, work(tb, role, root))
	worst = waits[len(waits)-1]
	tb.Logf("ADDs, %d at once: alone %v, beside %s of %d, which took %v: %v (p50, p99, max)",
		n, quantiles(before), role, endpoints, took.Round(time.Millisecond), quantiles(waits))
	return worst, took
}

// quantiles returns the median, the hundredth worst and the worst.
func quantiles(sorted []time.Duration) (q [3]time.Duration) {
	for i, at := range []int{len(sorted) / 2, len(sorted) * 99 / 100, len(sorted) - 1} {
		q[i] = sorted[at].Round(10 * time.Microsecond)
	}
	return q
}

// TestNobodyWaitsForOthersWork: beside somebody who works through all endpoints of
// a node, an ADD waits for a portion of that only.
func TestNobodyWaitsForOthersWork(t *testing.T) {
	for _, role := range []string{"collect", "inspect"} {
		for _, n := range []int{1, 8, 64} {
			t.Run(fmt.Sprintf("%s beside %d", role, n), func(t *testing.T) {
				if worst, took := nobodyWaits(t, role, 8_000, n); worst > took/2 {
					t.Errorf("an ADD took %v beside %s, which took %v; want at most half of that", worst, role, took)
				}
			})
		}
	}
}

// BenchmarkNobodyWaits is the test on a node that is nearly full.
func BenchmarkNobodyWaits(b *testing.B) {
	for _, role := range []string{"collect", "inspect"} {
		for _, n := range []int{1, 64} {
			b.Run(fmt.Sprintf("%s beside %d", role, n), func(b *testing.B) {
				for range b.N {
					worst, _ := nobodyWaits(b, role, 60_000, n)
					b.ReportMetric(float64(worst.Milliseconds()), "worst-ms")
				}
			})
		}
	}
}
