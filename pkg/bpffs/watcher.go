package bpffs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"

	"github.com/cni-bpffs/cni-bpffs/internal/errlist"
	"github.com/cni-bpffs/cni-bpffs/internal/notify"
	"github.com/cni-bpffs/cni-bpffs/internal/owned"
)

// A watcher compares what is recorded with what it has told. It looks where something
// has changed since its directories are watched, and everywhere if they are others now.
type watcher struct {
	root     string
	notifier *notify.Notifier
	dirs     watchedDirs
	stale    bool                     // something was not looked at since it changed
	known    map[uint16]knownEndpoint // the endpoints that were told to be there
	ids      map[Attachment]uint16    // of those
	pending  map[notify.Dir]string    // records to be looked at again when they change
	synced   bool
	failed   string         // the error of the last look, which was told
	changes  []notify.Event // since the last look
	news     []news         // to be told
}

// watchedDirs are the root, the directory of the records, and that of the endpoints; 0
// where there is none.
type watchedDirs [3]notify.Dir

// News is one value of the sequence.
type news struct {
	Event

	err error
}

func newWatcher(root string) (*watcher, error) {
	n, err := notify.New()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrWatch, err)
	}
	return &watcher{
		root: root, notifier: n, stale: true,
		known: make(map[uint16]knownEndpoint), ids: make(map[Attachment]uint16), pending: make(map[notify.Dir]string),
	}, nil
}

func (w *watcher) tell(kind EventKind, ep Endpoint) {
	w.news = append(w.news, news{Event: Event{kind, ep}})
}

func (w *watcher) tellError(err error) { w.news = append(w.news, news{err: err}) }

// wait returns when there are changes that are worth a look. The scratch directory
// comes and goes with every ADD and DEL.
func (w *watcher) wait(ctx context.Context) error {
	for {
		changes, err := w.notifier.Wait(ctx)
		if err != nil && ctx.Err() == nil {
			err = fmt.Errorf("%w: %w", ErrWatch, err)
		}
		w.changes = slices.DeleteFunc(changes, func(c notify.Event) bool {
			return c.Dir == w.dirs[1] && c.Name == scratchDir
		})
		if len(w.changes) > 0 || err != nil {
			return err
		}
	}
}

// look compares what has changed with what was told. An error means that changes
// cannot be waited for.
func (w *watcher) look() error {
	e, dirs, err := w.open()
	if e != nil {
		defer e.Close()
	}
	names := w.changed()
	w.watch(dirs)
	switch {
	case errors.Is(err, ErrWatch):
		return err
	case errors.Is(err, ErrNotMounted), errors.Is(err, ErrNoRecords):
		w.keep(nil)
		names, err = nil, nil
	case err == nil && w.stale:
		names, err = w.list(e)
	}
	if w.stale = err != nil; w.stale {
		w.fail(err)
		return nil
	}
	w.failed = ""
	for _, name := range names {
		if err := w.read(e, name); err != nil {
			return err
		}
	}
	if !w.synced {
		w.synced = true
		w.tell(Synced, Endpoint{})
	}
	return nil
}

// fail tells the error, unless it was told at the last look.
func (w *watcher) fail(err error) {
	if err.Error() != w.failed {
		w.tellError(err)
	}
	w.failed = err.Error()
}

// open opens the records without a lock, and watches the directories that there are:
// before it looks into each, so that what comes later is told.
func (w *watcher) open() (e *Endpoints, dirs watchedDirs, err error) {
	top, err := openTop(w.root)
	if err != nil {
		return nil, dirs, err
	}
	e = &Endpoints{root: top, asIs: true}
	dirs, err = w.attach(e)
	if err == nil {
		return e, dirs, nil
	}
	return nil, dirs, errlist.Join(e.in(e.noneHidden(err)), e.Close())
}

func (w *watcher) attach(e *Endpoints) (dirs watchedDirs, err error) {
	if dirs[0], err = w.add(e.root.Dir); err != nil {
		return dirs, err
	}
	err = e.checkAsIs(func() error {
		cni, err := e.root.Open(recordsDir)
		if err != nil {
			return err
		}
		e.cni, e.unlock = cni, func() { cni.File().Close() }
		dirs[1], err = w.add(cni)
		return err
	})
	if err != nil {
		return dirs, err
	}
	endpoints, err := e.cni.Open(endpointsDir)
	if err != nil {
		return dirs, absentRecords(err)
	}
	defer endpoints.Close()
	dirs[2], err = w.add(endpoints)
	return dirs, err
}

func (w *watcher) add(dir *owned.Dir) (notify.Dir, error) {
	d, err := w.notifier.Add(dir.File())
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrWatch, err)
	}
	return d, err
}

// watch remembers the directories. If they are others than at the last look,
// everything may have changed.
func (w *watcher) watch(dirs watchedDirs) {
	for _, d := range w.dirs {
		if d != 0 && !slices.Contains(dirs[:], d) {
			w.notifier.Drop(d)
		}
	}
	w.stale = w.stale || dirs != w.dirs
	w.dirs = dirs
}

// changed returns the names of the records that have changed. If events were lost,
// it can be any.
func (w *watcher) changed() (names []string) {
	for _, c := range w.changes {
		name, isPending := w.pending[c.Dir]
		switch {
		case c.Lost:
			w.stale = true
		case isPending:
			w.notifier.Drop(c.Dir)
			delete(w.pending, c.Dir)
		case c.Dir == w.dirs[2]:
			name = c.Name
		}
		if name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// list returns the names of all records, and tells which are not there any more.
func (w *watcher) list(e *Endpoints) ([]string, error) {
	names, err := e.cni.List(endpointsDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, e.in(err)
	}
	slices.Sort(names)
	w.keep(names)
	return names, nil
}

// keep tells that the endpoints without a name are not there any more, and watches no
// single record.
func (w *watcher) keep(names []string) {
	for _, id := range slices.Sorted(maps.Keys(w.known)) {
		if _, found := slices.BinarySearch(names, formatID(id)); !found {
			w.remove(id)
		}
	}
	for d := range w.pending {
		w.notifier.Drop(d)
	}
	clear(w.pending)
}
