package install

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// Changes that never end do not put off the next look.
func TestWaitIsNotStarved(t *testing.T) {
	dir := t.TempDir()
	w := watching(t, dir)
	end := make(chan struct{})
	defer close(end)
	go func() {
		for {
			select {
			case <-end:
				return
			case <-time.After(quiet / 5):
				_ = os.WriteFile(filepath.Join(dir, "x"), nil, 0o644) // the directory goes with the test
			}
		}
	}()
	if took := waited(t, w, 4*busy); took > 2*busy {
		t.Errorf("the next look came after %v, want about %v", took, busy)
	}
}

// One change is seen soon, our own not at all.
func TestWait(t *testing.T) {
	dir := t.TempDir()
	w := watching(t, dir)
	put(t, filepath.Join(dir, "x"), "")
	if took := waited(t, w, busy); took > busy/2 {
		t.Errorf("the next look came after %v, want about %v", took, quiet)
	}
	put(t, filepath.Join(dir, scratch), "")
	if took := waited(t, w, 3*quiet); took < 3*quiet {
		t.Errorf("the next look came after %v, though there was our own change only", took)
	}
}

// A directory that is missing is looked for every second, without anything
// changing.
func TestWaitUnwatched(t *testing.T) {
	w := watching(t, filepath.Join(t.TempDir(), "missing"))
	if got := w.idle(); got != unwatched {
		t.Errorf("without a directory it looks every %v, want %v", got, unwatched)
	}
	w = watching(t, t.TempDir())
	if got := w.idle(); got != always {
		t.Errorf("with a directory it looks every %v, want %v", got, always)
	}
}

func watching(t *testing.T, dir string) *watcher {
	t.Helper()
	w, err := newWatcher(dir, dir)
	testns.Must(t, err)
	t.Cleanup(func() { w.Close() })
	w.arm()
	return w
}

// waited returns how long the watcher waited, at most so long.
func waited(t *testing.T, w *watcher, most time.Duration) time.Duration {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), most)
	defer cancel()
	start := time.Now()
	_ = w.wait(ctx, 0) // an error is that it took too long
	return time.Since(start)
}
