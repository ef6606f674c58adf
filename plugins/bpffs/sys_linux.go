package main

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// waitReadable waits until f can be read without blocking, or until end, and
// reports whether it can.
func waitReadable(f *os.File, end time.Time) (bool, error) {
	fds := []unix.PollFd{{Fd: int32(f.Fd()), Events: unix.POLLIN}}
	for {
		left := max(0, time.Until(end)) // poll(2) takes less for no limit
		n, err := unix.Poll(fds, int(left.Milliseconds()))
		if err == nil {
			return n > 0, nil
		}
		if !errors.Is(err, unix.EINTR) {
			return false, os.NewSyscallError("poll", err)
		}
	}
}

// duplicate returns a file that writes to where f does. Other than with
// os.Stdout and os.Stderr, a reader that is gone is an error, and not the end of
// the process before it could undo or finish anything.
func duplicate(f *os.File) (*os.File, error) {
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}

// warnings writes to a duplicate of its file, for as long as a warning takes.
type warnings struct {
	f *os.File
}

// Write makes warnings an [io.Writer].
func (w warnings) Write(text []byte) (int, error) {
	f, err := duplicate(w.f)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return f.Write(text)
}
