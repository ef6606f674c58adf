package pods

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/test/internal/plugintest"
)

// TestRace: runtimes add and delete sandboxes of several pods, and several sandboxes
// of one pod, at once.
func TestRace(t *testing.T) {
	const workers, pods, rounds = 6, 3, 10
	eachKernel(t, func(t *testing.T, s sandbox) {
		t.Helper()
		var all sync.WaitGroup
		for i := range workers {
			one := s
			one.uid, one.container = fmt.Sprint("pod-", i%pods), fmt.Sprint("c", i)
			one.makeVolume(t)
			all.Go(func() {
				for range rounds {
					for _, verb := range []string{"ADD", "ADD", "DEL", "DEL"} {
						a, err := plugintest.Run(one.plugin.Command(verb, one.conf(nil), one.env()...))
						if err != nil || a.Status != 0 {
							t.Errorf("%s of %s in pod %s: %+v, %v", verb, one.container, one.uid, a, err)
						}
					}
				}
			})
		}
		all.Wait()
		s.wantNothing(t)
	})
}

// A tamperer changes the volume as fast as it can, until stop is called.
func (s sandbox) tamper(t *testing.T, target string) (stop func()) {
	t.Helper()
	end, ended := make(chan struct{}), make(chan struct{})
	eth0, moved := filepath.Join(s.volume(), "eth0"), filepath.Join(s.volume(), "moved")
	tricks := []func(){
		func() { _ = os.Rename(eth0, moved) },
		func() { _ = os.Symlink(target, eth0) },
		func() { _ = os.Remove(eth0) },
		func() { _ = os.Rename(moved, eth0) },
		func() { _ = os.Symlink(target, filepath.Join(eth0, "maps")) },
		func() { _ = os.Remove(filepath.Join(eth0, "maps")) },
		func() { _ = os.MkdirAll(filepath.Join(eth0, "maps"), 0o700) },
		func() { _ = os.Rename(filepath.Join(eth0, "maps"), filepath.Join(eth0, "theirs")) },
		func() { _ = os.Remove(filepath.Join(eth0, "theirs")) },
		func() { _ = os.Remove(moved) },
	}
	go func() {
		defer close(ended)
		for {
			for _, trick := range tricks {
				select {
				case <-end:
					return
				default:
					trick()
				}
			}
		}
	}()
	return func() { close(end); <-ended }
}

// TestHostilePod: the pod changes its volume while ADD and DEL are under way. They may
// fail, but nothing outside changes, and once the pod has ended DEL leaves nothing.
func TestHostilePod(t *testing.T) {
	const rounds, target = 40, "/run/target"
	eachKernel(t, func(t *testing.T, s sandbox) {
		t.Helper()
		testns.Must(t, os.MkdirAll(target, 0o777))
		failed := 0
		for range rounds {
			stop := s.tamper(t, target)
			for _, verb := range []string{"ADD", "ADD", "DEL"} {
				a := s.plugin.Call(t, verb, s.conf(nil), s.env()...)
				if a.Status == 0 {
					continue
				}
				failed++
				e, err := a.Error()
				if want := map[string]uint{"ADD": codePodVolume, "DEL": 108}[verb]; err != nil || e.Code != want {
					t.Errorf("%s while the pod changes its volume: %+v, want success or the code %d", verb, a, want)
				}
			}
			stop()
			wantRecorded(t)
			s.del(t)
			if got := mountsBelow(t, kubeletDir); got != nil {
				t.Fatalf("still mounted: %q", got)
			}
			wantNoRecords(t)
		}
		if got := names(t, target); got != nil {
			t.Errorf("where links of the pod lead: %q, want nothing", got)
		}
		t.Logf("%d of %d calls failed", failed, 3*rounds)
	})
}
