package install

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// A watcher tells of changes in directories, which may vanish and come back.
type watcher struct {
	*fsnotify.Watcher
	binDir, confDir string
	missing         bool // one of them cannot be watched now
}

func newWatcher(binDir, confDir string) (*watcher, error) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("watching %s and %s: %w", binDir, confDir, err)
	}
	return &watcher{Watcher: w, binDir: filepath.Clean(binDir), confDir: filepath.Clean(confDir)}, nil
}

// arm watches the directories that are at the paths now, and those of networks.
// The watch of one that was removed or moved has ended by itself, and one that is
// watched already stays so.
func (w *watcher) arm() {
	w.missing = false
	for _, path := range append(w.networks(), w.binDir, w.confDir) {
		if w.Add(path) != nil {
			w.missing = true
		}
	}
}

// networks returns the directories below that of the configurations.
func (w *watcher) networks() (paths []string) {
	entries, _ := os.ReadDir(w.confDir) // one that is missing has none
	for _, e := range entries {
		if e.IsDir() && e.Name() != scratch {
			paths = append(paths, filepath.Join(w.confDir, e.Name()))
		}
	}
	return paths
}

// wait returns when it is time to look again: soon after something changed, but
// not before the pause is over, or when nothing has for long. An error means that
// ctx is done.
func (w *watcher) wait(ctx context.Context, pause time.Duration) error {
	if err := sleep(ctx, pause); err != nil {
		return err
	}
	idle := time.After(w.idle())
	var settled, latest <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return errEnd(ctx)
		case e := <-w.Events:
			if filepath.Base(e.Name) == scratch {
				continue
			}
			settled = time.After(quiet)
			if latest == nil {
				latest = time.After(busy)
			}
		case <-w.Errors: //nolint:errcheck // that events were lost is a reason to look
			return nil
		case <-settled:
			return nil
		case <-latest:
			return nil
		case <-idle:
			return nil
		}
	}
}

// idle returns how long to wait without any event.
func (w *watcher) idle() time.Duration {
	if w.missing {
		return unwatched
	}
	return always
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return errEnd(ctx)
	case <-time.After(d):
		return nil
	}
}
