package main

import (
	"errors"
	"io"
	"os"
	"runtime"
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

// memoryFile returns a file with the content, to be read from its start.
func memoryFile(content []byte) (*os.File, error) {
	fd, err := unix.MemfdCreate("stdin", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	f := os.NewFile(uintptr(fd), "standard input")
	if _, err := f.Write(content); err != nil {
		return nil, err
	}
	_, err = f.Seek(0, io.SeekStart)
	return f, err
}

// inNetNS calls do on a thread in the network namespace.
func inNetNS(path string, do func()) error {
	ns, err := os.Open(path)
	if err != nil {
		return err
	}
	defer ns.Close()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		err := os.NewSyscallError("setns", unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET))
		if err == nil {
			do()
		}
		done <- err
	}()
	return <-done
}
