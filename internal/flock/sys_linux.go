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

// announce says until f is closed that somebody waits for the lock on it, or had to.
// It does so by a lock of another kind, which hinders nobody (fcntl(2), "Open file
// description locks", Linux 3.15). Where that fails the wait is only less polite.
func announce(f *os.File) {
	shared := unix.Flock_t{Type: unix.F_RDLCK}
	_ = unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &shared)
}

// isAwaited reports whether somebody else has announced to wait for the lock on f.
func isAwaited(f *os.File) bool {
	test := unix.Flock_t{Type: unix.F_WRLCK}
	err := unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &test)
	return err == nil && test.Type != unix.F_UNLCK
}
