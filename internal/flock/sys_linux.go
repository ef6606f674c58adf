package flock

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// nonBlocking makes flock answer EWOULDBLOCK instead of waiting.
const nonBlocking = unix.LOCK_NB

// flock locks the open file f exclusively.
func flock(f *os.File, how int) error {
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|how)
		if err == nil {
			return nil
		}
		if !errors.Is(err, unix.EINTR) {
			return &os.PathError{Op: "flock", Path: f.Name(), Err: err}
		}
	}
}
