// Package flock locks files and directories between processes. The kernel gives a
// lock back when its holder dies.
package flock

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// Timeout is how long anybody waits for a lock.
const Timeout = 10 * time.Second

// ErrLocked says that somebody else held the lock for all the time that the caller
// could wait.
var ErrLocked = errors.New("locked by another process")

// Dir locks the directory path against every other caller, in this process and in
// others, until unlock is called or the process ends. It waits while another holds
// the lock, until ctx is done and at most [Timeout]: [ErrLocked]. What is locked
// is what path names when Dir returns, and open until then.
func Dir(ctx context.Context, path string) (dir *os.File, unlock func(), err error) {
	for {
		f, err := os.Open(path)
		if err != nil {
			return nil, nil, err
		}
		unlock, err := File(ctx, f)
		if err != nil {
			return nil, nil, err
		}
		current, err := IsAt(f, path)
		if err == nil && current {
			return f, unlock, nil
		}
		unlock()
		if err != nil {
			return nil, nil, err
		}
	}
}

// IsAt reports whether the open file f is still what path names. While the caller
// waited for a lock something may have been mounted there.
func IsAt(f *os.File, path string) (bool, error) {
	held, err := f.Stat()
	if err != nil {
		return false, err
	}
	named, err := os.Stat(path)
	if err != nil {
		return false, err
	}
	return os.SameFile(held, named), nil
}

// File is [Dir] for an open file, which unlock closes. With an error f is closed,
// too: where the wait was given up, as soon as the lock would have been had.
func File(ctx context.Context, f *os.File) (unlock func(), err error) {
	unlock = func() { f.Close() }
	err = flock(f, nonBlocking)
	if err == nil {
		return unlock, nil
	}
	if !errors.Is(err, syscall.EWOULDBLOCK) {
		f.Close()
		return nil, err
	}
	if err := wait(ctx, f); err != nil {
		return nil, err
	}
	return unlock, nil
}

// wait is File while another holds the lock. Only here is a timer started: it
// would cost every caller three system calls and a thread that wakes up.
func wait(ctx context.Context, f *os.File) error {
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	announce(f)
	done := make(chan error, 1)
	go func() { done <- flock(f, 0) }()
	select {
	case err := <-done:
		if err != nil {
			f.Close()
		}
		return err
	case <-ctx.Done():
		go func() {
			<-done
			f.Close()
		}()
		return fmt.Errorf("waiting for the lock on the directory %s (/proc/locks names the process that holds it): %w: %w",
			f.Name(), ErrLocked, ctx.Err())
	}
}

// How soon and how long [Politely] lets others have a lock.
const (
	pause    = time.Millisecond
	patience = 20 * time.Millisecond
)

// Politely is [File] for whoever gives a lock back in between and wants it again. The
// kernel passes no lock on: whoever asks at once has it again before a waiter wakes
// up, and whoever asks later may do so just between two waiters. So it takes the
// lock only when nobody has announced to wait for it. Where somebody always does, it
// waits like everybody after a while: about as long as those take who come at once.
func Politely(ctx context.Context, f *os.File) (unlock func(), err error) {
	for end := time.Now().Add(patience); time.Now().Before(end) && ctx.Err() == nil; {
		time.Sleep(pause)
		if !isAwaited(f) && flock(f, nonBlocking) == nil {
			return func() { f.Close() }, nil
		}
	}
	return File(ctx, f)
}
