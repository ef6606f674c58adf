package testadd

import (
	"fmt"
	"testing"
	"time"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

// Many makes records of many endpoints in the bpffs at root, without maps and with
// the network namespace.
func Many(tb testing.TB, root string, many int, netns string) {
	tb.Helper()
	e, err := bpffs.CreateEndpoints(tb.Context(), root)
	testns.Must(tb, err)
	for i := range many {
		id, _, err := e.Allocate(bpffs.Attachment{Network: "many", ContainerID: fmt.Sprintf("c%d", i), IfName: "eth0"}, "", "policy_", "stats_")
		testns.Must(tb, err)
		testns.Must(tb, e.SetDetails(id, bpffs.Details{Pod: "my-ns/web-0", NetNS: netns}))
	}
	testns.Must(tb, e.Close())
}

// Waits opens the records at root again and again while do runs, and wants to have
// them many times.
func Waits(tb testing.TB, root string, do func()) {
	tb.Helper()
	const few = 3
	done := make(chan time.Duration)
	start := time.Now()
	go func() {
		do()
		done <- time.Since(start)
	}()
	var worst, sum time.Duration
	for n := 0; ; n++ {
		select {
		case took := <-done:
			tb.Logf("%v, in which others had the records %d times, after %v on average and %v at most", took, n, sum/time.Duration(max(n, 1)), worst)
			if n < few {
				tb.Errorf("others had the records %d times in %v, want many times", n, took)
			}
			return
		case <-time.After(time.Millisecond):
		}
		asked := time.Now()
		e, err := bpffs.OpenEndpoints(tb.Context(), root)
		testns.Must(tb, err)
		testns.Must(tb, e.Close())
		waited := time.Since(asked)
		worst, sum = max(worst, waited), sum+waited
	}
}
