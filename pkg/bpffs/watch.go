package bpffs

import (
	"context"
	"errors"
	"fmt"
	"iter"
)

// ErrWatch says that [Watch] cannot wait for changes.
var ErrWatch = errors.New("cannot watch the endpoints")

// An EventKind says what [Watch] tells of an endpoint.
type EventKind string

// The kinds.
const (
	Added   EventKind = "added"   // it is there
	Removed EventKind = "removed" // it is not there any more
	Synced  EventKind = "synced"  // of no endpoint: all that were there at the start have been told
)

// An Event is what [Watch] tells of an endpoint.
type Event struct {
	Kind     EventKind
	Endpoint Endpoint // of one that was removed, what was told when it was added
}

// Watch tells which endpoints come and go in the bpffs at root: first those that are
// there, then [Synced] once, then all changes, until ctx is done or the caller breaks.
// The last value is an error then, ctx.Err(). It waits for the kernel's notices and
// does not poll; it locks nothing, so that no ADD waits, and keeps nothing open, so that
// the bpffs can be unmounted. One that is mounted read-only will do.
//
// An endpoint is added when its ADD has recorded all and pinned the maps, before the
// runtime has the result. It is removed when its DEL or GC has released the ID, just
// after its pins were removed; or when the bpffs was unmounted. Where one ID goes from
// one attachment to another, both are told, in this order. Another ADD of an attachment
// that has an endpoint tells nothing, though its details may be others now: [LookUp] has
// them. What came and went between two looks is not told. If the caller takes long,
// events wait; should the kernel drop some, all records are read again, and what is told
// is true again.
//
// Where no bpffs is mounted, or it has no records, no endpoint is there yet. A mount is
// seen if it happens in, or propagates to, the mount namespace of the caller.
//
// What cannot be seen is an error, and not removed: [ErrUnsafe], [ErrLayout],
// [ErrStacked], a record that cannot be read. The sequence goes on, and looks again
// when something changes. It ends after an error only if it cannot wait for changes:
// [ErrWatch]. A path that can be no root ends it, too: [ErrBadRoot].
//
// Each range over the sequence is a watch of its own, which costs an instance of
// inotify and a thread that waits.
func Watch(ctx context.Context, root string) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		err := watch(ctx, root, yield)
		if err != nil {
			yield(Event{}, err)
		}
	}
}

// watch is Watch; it returns the error that ends it, nil if the caller did.
func watch(ctx context.Context, root string, yield func(Event, error) bool) error {
	if err := checkRootPath(root); err != nil {
		return fmt.Errorf("%w: %w", ErrBadRoot, err)
	}
	w, err := newWatcher(root)
	if err != nil {
		return err
	}
	defer w.notifier.Close()
	for {
		err := w.look()
		for _, n := range w.news {
			if !yield(n.Event, n.err) {
				return nil
			}
		}
		w.news = nil
		if err == nil {
			err = w.wait(ctx)
		}
		if err != nil {
			return err
		}
	}
}
