package integration

import (
	"os"
	"sync"
	"syscall"
	"testing"
	"time"
)

// hold locks the directory until the test ends.
func hold(t *testing.T, dir string) {
	t.Helper()
	f, err := os.Open(dir)
	must(t, err)
	t.Cleanup(func() { must(t, f.Close()) })
	must(t, syscall.Flock(int(f.Fd()), syscall.LOCK_EX))
}

// TestLocks: who cannot get a lock says so in time.
func TestLocks(t *testing.T) {
	p := newNode(t)
	p.add(t, conf(nil))
	hold(t, defaultRoot+"/cni")
	mkdir(t, customRoot)
	hold(t, customRoot)
	records := []string{"waiting for the lock", defaultRoot + "/cni", "/proc/locks"}
	before, start := snapshot(t), time.Now()
	var calls sync.WaitGroup
	calls.Go(func() { p.fail(t, 11, records, "ADD", conf(nil), "CNI_CONTAINERID=c2") })
	calls.Go(func() { p.fail(t, 11, records, "DEL", conf(nil)) })
	calls.Go(func() { p.fail(t, 11, records, "GC", withValid(conf(nil), "[]")) })
	calls.Go(func() { p.fail(t, 50, records, "STATUS", conf(nil)) })
	calls.Go(func() {
		p.fail(t, 11, []string{"waiting for the lock", customRoot}, "ADD", conf(keys{"bpfRoot": customRoot}))
	})
	calls.Wait()
	if took := time.Since(start); took < 9*time.Second || took > 20*time.Second {
		t.Errorf("calls without a lock: took %v, want about 10 s", took)
	}
	unchanged(t, before)
}
