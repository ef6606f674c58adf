package bpffs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
)

// ErrLocked is the error of a call whose context ended while another process
// held the lock that the call needs. Trying again later can succeed.
var ErrLocked = errors.New("locked by another process")

// lockDir locks the directory path against every other caller, in this process
// and in others, until unlock is called or the process ends. It waits while
// another holds the lock, at most until ctx is done.
func lockDir(ctx context.Context, path string) (unlock func(), err error) {
	for {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		if err := lockFile(ctx, f); err != nil {
			return nil, err
		}
		current, err := isAt(f, path)
		if err == nil && current {
			return func() { f.Close() }, nil
		}
		f.Close()
		if err != nil {
			return nil, err
		}
	}
}

// isAt reports whether the open file f is still what path names. While the
// caller waited for a lock something may have been mounted there.
func isAt(f *os.File, path string) (bool, error) {
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

// lockFile locks f. If it cannot, it closes f, and where it gave up waiting, as
// soon as the lock would have been had.
func lockFile(ctx context.Context, f *os.File) error {
	err := tryFlock(f)
	if err == nil {
		return nil
	}
	if !errors.Is(err, syscall.EWOULDBLOCK) {
		f.Close()
		return err
	}
	done := make(chan error, 1)
	go func() { done <- waitFlock(f) }()
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
		return fmt.Errorf("waiting for the lock on the directory %s (its holder is in /proc/locks): %w: %w",
			f.Name(), ErrLocked, ctx.Err())
	}
}
