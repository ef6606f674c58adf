// Package notify tells what changes in directories, and when something is mounted
// or unmounted.
package notify

import (
	"context"
	"fmt"
	"os"

	"github.com/cni-bpffs/cni-bpffs/internal/errlist"
)

// A Notifier watches directories, and the mount table of the mount namespace in which
// it was made. It keeps no directory open, so that the file systems can be unmounted.
type Notifier struct {
	inotify *os.File
	mounts  *os.File
	wake    *os.File // readable when a context is done
	buf     []byte
}

// A Dir is a watched directory. The same directory is the same Dir as long as it is
// watched, whatever path leads to it, and no other one ever is.
type Dir int32

// An Event says what changed.
type Event struct {
	Dir  Dir    // where; 0 for the mount table
	Name string // of what came, went or got other rights there; empty for Dir itself
	Lost bool   // there were more events than the kernel keeps: anything can have changed
}

// New returns a notifier that watches only the mount table.
func New() (*Notifier, error) {
	n := &Notifier{buf: make([]byte, bufSize)}
	for _, part := range []struct {
		f    **os.File
		open func() (*os.File, error)
	}{{&n.inotify, openInotify}, {&n.mounts, openMountTable}, {&n.wake, openWake}} {
		f, err := part.open()
		if err != nil {
			return nil, errlist.Join(err, n.Close())
		}
		*part.f = f
	}
	return n, nil
}

// Close ends the watch.
func (n *Notifier) Close() error {
	var errs []error
	for _, f := range []*os.File{n.inotify, n.mounts, n.wake} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errlist.Join(errs...)
}

// Add watches the open directory, if it is not watched already. What comes after the
// call is told by Wait.
func (n *Notifier) Add(dir *os.File) (Dir, error) {
	d, err := addWatch(n.inotify, dir)
	if err != nil {
		return 0, fmt.Errorf("watching %s: %w", dir.Name(), err)
	}
	return d, nil
}

// Drop ends the watch of a directory. One that is removed or unmounted ends by itself.
func (n *Notifier) Drop(d Dir) { removeWatch(n.inotify, d) }

// Wait returns what has changed since the last call, and waits if nothing has.
// ctx.Err() when ctx is done; only Close is left to be called then.
func (n *Notifier) Wait(ctx context.Context) ([]Event, error) {
	defer context.AfterFunc(ctx, func() { wakeUp(n.wake) })()
	for ctx.Err() == nil {
		inDirs, inMounts, err := poll(n.inotify, n.mounts, n.wake)
		if err != nil {
			return nil, err
		}
		var events []Event
		if inDirs {
			if events, err = n.read(); err != nil {
				return nil, err
			}
		}
		if inMounts {
			events = append(events, Event{})
		}
		if len(events) > 0 {
			return events, nil
		}
	}
	return nil, ctx.Err()
}

// read returns the events in directories that have come.
func (n *Notifier) read() ([]Event, error) {
	size, err := readEvents(n.inotify, n.buf)
	if err != nil {
		return nil, err
	}
	return decode(n.buf[:size])
}
