package flock

import (
	"context"
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// open opens dir as a process of its own would.
func open(t *testing.T, dir string) *os.File {
	t.Helper()
	f, err := os.Open(dir)
	testns.Must(t, err)
	return f
}

// TestNobodyWaitsForThePolite: whoever gives the lock back gets it again after all
// who waited, however many they are, and at once if nobody does.
func TestNobodyWaitsForThePolite(t *testing.T) {
	for _, waiters := range []int{0, 1, 2, 8, 64} {
		dir := t.TempDir()
		unlock, err := File(t.Context(), open(t, dir))
		testns.Must(t, err)
		var served atomic.Int64
		var group, ready sync.WaitGroup
		ready.Add(waiters)
		for range waiters {
			group.Go(func() {
				f := open(t, dir)
				ready.Done()
				unlock, err := File(t.Context(), f)
				if err != nil {
					t.Error(err)
					return
				}
				served.Add(1)
				time.Sleep(200 * time.Microsecond)
				unlock()
			})
		}
		ready.Wait()
		awaited := open(t, dir)
		for end := time.Now().Add(5 * time.Second); waiters > 0 && !isAwaited(awaited) && time.Now().Before(end); {
			time.Sleep(time.Millisecond)
		}
		time.Sleep(50 * time.Millisecond) // the last of them begin to wait
		start := time.Now()
		unlock()
		again, err := Politely(t.Context(), awaited)
		testns.Must(t, err)
		if got := int(served.Load()); got != waiters && time.Since(start) < patience {
			t.Errorf("with %d waiters: %d had the lock before it was taken again after %v, want all", waiters, got, time.Since(start))
		}
		again()
		group.Wait()
	}
}

// TestNobodyWaitsForEver: the polite have the lock, too, though others always want it.
func TestNobodyWaitsForEver(t *testing.T) {
	dir := t.TempDir()
	ctx, stop := context.WithCancel(t.Context())
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for ctx.Err() == nil {
				if unlock, err := File(ctx, open(t, dir)); err == nil {
					time.Sleep(time.Millisecond)
					unlock()
				}
			}
		})
	}
	for range 3 {
		unlock, err := Politely(t.Context(), open(t, dir))
		if err != nil {
			t.Fatalf("among others who always want the lock: %v, want it", err)
		}
		unlock()
	}
	stop()
	group.Wait()
}

// TestNobodyWaitsLongerThanTheContext: the polite give up like everybody.
func TestNobodyWaitsLongerThanTheContext(t *testing.T) {
	dir := t.TempDir()
	unlock, err := File(t.Context(), open(t, dir))
	testns.Must(t, err)
	defer unlock()
	for name, take := range map[string]func(context.Context, *os.File) (func(), error){"File": File, "Politely": Politely} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		start := time.Now()
		if _, err := take(ctx, open(t, dir)); !errors.Is(err, ErrLocked) || time.Since(start) > Timeout/2 {
			t.Errorf("%s while another has the lock: %v after %v, want %v after 20ms", name, err, time.Since(start), ErrLocked)
		}
	}
}
