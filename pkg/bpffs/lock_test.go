package bpffs

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// whileLocked calls wait, which waits for a lock that another process has in the
// role, then change, and after that kills the process.
func whileLocked(tb testing.TB, role, root string, wait func() error, change func()) error {
	tb.Helper()
	kill := testns.Start(tb, role, envRoot+"="+root)
	done := make(chan error, 1)
	go func() { done <- wait() }()
	awaitBlocked(tb, done)
	change()
	kill()
	return <-done
}

// awaitBlocked returns once a lock in /proc/locks has somebody who waits for it.
func awaitBlocked(tb testing.TB, done <-chan error) {
	tb.Helper()
	for start := time.Now(); time.Since(start) < 10*time.Second; time.Sleep(5 * time.Millisecond) {
		locks, err := os.ReadFile("/proc/locks")
		testns.Must(tb, err)
		if strings.Contains(string(locks), "-> FLOCK") {
			return
		}
		select {
		case err := <-done:
			tb.Fatalf("it did not wait for the lock: %v", err)
		default:
		}
	}
	tb.Fatal("nobody waits for the lock after 10 seconds")
}

// The bpffs whose records this process waited for is not the one at the root now.
func TestRecordsMountedAnewWhileWaiting(t *testing.T) {
	for _, row := range []struct {
		name string
		made []string // in the new bpffs
	}{
		{"with records", []string{"cni/layout-1"}},
		{"without records", nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			dir := newMapDir(t)
			var e *Endpoints
			err := whileLocked(t, "hold records", dir.Root(), func() (err error) {
				e, err = CreateEndpoints(t.Context(), dir.Root())
				return err
			}, func() {
				testns.Mount(t, "bpf", dir.Root(), "")
				for _, made := range row.made {
					mkdir(t, filepath.Join(dir.Root(), made))
				}
			})
			if !errors.Is(err, ErrLocked) {
				t.Errorf("CreateEndpoints while a new bpffs is mounted: %v; want %v", err, ErrLocked)
			}
			if err == nil {
				closeRecords(t, e)
			}
		})
	}
}

func TestEndpointsLocked(t *testing.T) {
	dir := newMapDir(t)
	kill := testns.Start(t, "hold records", envRoot+"="+dir.Root())
	for name, open := range openers() {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		start := time.Now()
		if _, err := open(ctx, dir.Root()); !errors.Is(err, ErrLocked) {
			t.Errorf("%s while another process has the records open: %v; want %v", name, err, ErrLocked)
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("%s gave up waiting after %v; want 50ms", name, took)
		}
	}
	kill()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	e, err := OpenEndpoints(ctx, dir.Root())
	if err != nil {
		t.Fatalf("OpenEndpoints after the holder was killed: %v", err)
	}
	closeRecords(t, e)
}

func TestEndpointsWaitForTheLock(t *testing.T) {
	dir := newMapDir(t)
	kill := testns.Start(t, "hold records", envRoot+"="+dir.Root())
	time.AfterFunc(100*time.Millisecond, kill)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	e, err := OpenEndpoints(ctx, dir.Root())
	if err != nil {
		t.Fatalf("OpenEndpoints while the holder is killed: %v", err)
	}
	closeRecords(t, e)
}
