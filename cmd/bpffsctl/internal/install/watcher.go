package install

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"
)

// A watcher tells of changes in directories, which may vanish and come back.
type watcher struct {
	*fsnotify.Watcher
	binDir, confDir string
	dirs            map[string]fs.FileInfo // what is watched at each path, nil if nothing
}

func newWatcher(binDir, confDir string) (*watcher, error) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("watching %s and %s: %w", binDir, confDir, err)
	}
	return &watcher{w, filepath.Clean(binDir), filepath.Clean(confDir), make(map[string]fs.FileInfo)}, nil
}

// arm watches the directories that are at the paths now, and those of networks.
func (w *watcher) arm() {
	paths := append(w.networks(), w.binDir, w.confDir)
	for path := range w.dirs {
		if !slices.Contains(paths, path) {
			_ = w.Remove(path)
			delete(w.dirs, path)
		}
	}
	for _, path := range paths {
		before := w.dirs[path]
		now, err := os.Stat(path)
		if err == nil && before != nil && os.SameFile(before, now) && w.has(path) {
			continue
		}
		_ = w.Remove(path) // fails if it vanished, which ends the watch too
		w.dirs[path] = nil
		if err == nil && w.Add(path) == nil {
			w.dirs[path] = now
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

// has reports whether the watch of the path has not ended by itself.
func (w *watcher) has(path string) bool {
	return slices.Contains(w.WatchList(), path)
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
	for _, fi := range w.dirs {
		if fi == nil {
			return blind
		}
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
