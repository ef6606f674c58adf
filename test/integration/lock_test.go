package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/test/internal/plugintest"
)

// hold locks the directory until release is called.
func hold(t *testing.T, dir string) (release func()) {
	t.Helper()
	f, err := os.Open(dir)
	testns.Must(t, err)
	testns.Must(t, syscall.Flock(int(f.Fd()), syscall.LOCK_EX))
	return func() { testns.Must(t, f.Close()) }
}

// TestLocks: who cannot get a lock says so in time.
func TestLocks(t *testing.T) {
	p := newNode(t)
	p.Add(t, conf(nil))
	defer hold(t, defaultRoot+"/cni")()
	mkdir(t, customRoot)
	defer hold(t, customRoot)()
	records := []string{"waiting for the lock", defaultRoot + "/cni", "/proc/locks"}
	before, start := snapshot(t), time.Now()
	var calls sync.WaitGroup
	calls.Go(func() { p.Fail(t, 11, records, "ADD", conf(nil), "CNI_CONTAINERID=c2") })
	calls.Go(func() { p.Fail(t, 11, records, "DEL", conf(nil)) })
	calls.Go(func() { p.Fail(t, 11, records, "GC", withValid(conf(nil), "[]")) })
	calls.Go(func() { p.Fail(t, 50, records, "STATUS", conf(nil)) })
	calls.Go(func() {
		p.Fail(t, 11, []string{"waiting for the lock", customRoot}, "ADD", conf(keys{"bpfRoot": customRoot}))
	})
	calls.Wait()
	if took := time.Since(start); took < 9*time.Second || took > 20*time.Second {
		t.Errorf("time of calls without a lock: got %v, want about 10 s", took)
	}
	unchanged(t, before)
}

// TestMountTogether: processes that all found nothing mounted.
func TestMountTogether(t *testing.T) {
	const processes = 16
	p := newNode(t)
	mkdir(t, customRoot)
	release := hold(t, customRoot)
	answers := make([]plugintest.Answer, processes)
	var calls sync.WaitGroup
	for i := range answers {
		calls.Go(func() {
			answers[i] = p.Call(t, "ADD", conf(keys{"bpfRoot": customRoot}), fmt.Sprintf("CNI_CONTAINERID=c%d", i))
		})
	}
	waitForWaiters(t, processes)
	release()
	calls.Wait()
	for i, a := range answers {
		if a.Status != 0 {
			t.Errorf("ADD %d: got %+v, want success", i, a)
		}
	}
	if got, want := bpfMounts(t), []string{customRoot}; !slices.Equal(got, want) {
		t.Errorf("bpffs: got %q, want %q", got, want)
	}
}

// waitForWaiters returns when so many processes of this namespace wait for locks.
// Before Linux 5.13 /proc/locks has only the first of those that wait for a lock.
func waitForWaiters(t *testing.T, processes int) {
	t.Helper()
	waiting := 0
	for end := time.Now().Add(8 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if waiting = inFlock(t); waiting == processes {
			return
		}
	}
	t.Fatalf("processes that wait for a lock: got %d, want %d", waiting, processes)
}

// inFlock returns how many threads of this namespace are in flock(2).
func inFlock(t *testing.T) (threads int) {
	t.Helper()
	calls, err := filepath.Glob("/proc/[0-9]*/task/*/syscall")
	testns.Must(t, err)
	for _, name := range calls {
		call, err := os.ReadFile(name)
		if err == nil && strings.HasPrefix(string(call), fmt.Sprintf("%d ", unix.SYS_FLOCK)) { // else the thread is gone
			threads++
		}
	}
	return threads
}
