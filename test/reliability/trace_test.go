package reliability

import (
	"io"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/cni-bpffs/cni-bpffs/test/internal/trace"
)

// killAt executes the call and sends it the signal where one of its threads is
// about to make the nth system call that counts; SIGKILL ends it before it makes
// that call. It says where that was; a process that ended by itself before was
// not killed.
func (c call) killAt(n int, counts func(uint64) bool, signal unix.Signal) (at trace.Stop, killed bool, a answer, err error) {
	return c.interrupt(n, counts, func(pid int) error { return os.NewSyscallError("kill", unix.Kill(pid, signal)) })
}

// interrupt executes the call and calls then where one of its threads is about to
// make the nth system call that counts. The threads that are in the kernel wait.
func (c call) interrupt(n int, counts func(uint64) bool, then func(pid int) error) (at trace.Stop, killed bool, a answer, err error) {
	runtime.LockOSThread() // a tracee belongs to a thread
	defer runtime.UnlockOSThread()
	var files [3]*os.File
	if files[0], err = filled(c.conf()); err != nil {
		return trace.Stop{}, false, answer{}, err
	}
	defer files[0].Close()
	stdout, w, err := os.Pipe()
	if err != nil {
		return trace.Stop{}, false, answer{}, err
	}
	defer stdout.Close()
	files[1], files[2] = w, w
	cmd := c.command()
	tr, err := trace.Start(cmd.Args, cmd.Environ(), files)
	w.Close()
	if err != nil {
		return trace.Stop{}, false, answer{}, err
	}
	at, err = tr.RunTo(n, counts, then)
	if err != nil {
		return at, false, answer{}, err
	}
	out, err := io.ReadAll(stdout)
	return at, tr.Status.Signaled(), answer{Stdout: string(out), Status: tr.Status.ExitStatus()}, err
}

// filled returns a pipe that text comes out of.
func filled(text string) (*os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer w.Close()
	_, err = io.Copy(w, strings.NewReader(text)) // far less than the pipe holds
	return r, err
}
