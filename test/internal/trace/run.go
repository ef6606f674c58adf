package trace

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/cni-bpffs/cni-bpffs/test/internal/plugintest"
)

// Run runs the command, and calls then where one of its threads is about to make
// the nth system call that counts; the threads that are in the kernel wait. It says
// where that was, and whether a signal ended the process. Standard input is a file, or
// has to fit into a pipe.
func Run(cmd *exec.Cmd, n int, counts func(uint64) bool, then func(pid int) error) (at Stop, killed bool, a plugintest.Answer, err error) {
	var p *Process
	a, err = run(cmd, func(started *Process) (err error) {
		p = started
		at, err = p.RunTo(n, counts, then)
		return err
	})
	return at, p != nil && p.Status.Signaled(), a, err
}

// Opens runs the command, and returns the paths that it opened or tried to open.
func Opens(cmd *exec.Cmd) (paths []string, _ plugintest.Answer, err error) {
	a, err := run(cmd, func(p *Process) error {
		return p.each(func(tid int, c call) error {
			if c.nr != unix.SYS_OPENAT {
				return nil
			}
			path, err := c.path(tid, 1)
			paths = append(paths, path)
			return err
		})
	})
	return paths, a, err
}

// run runs the command under trace.
func run(cmd *exec.Cmd, trace func(*Process) error) (a plugintest.Answer, err error) {
	runtime.LockOSThread() // a tracee belongs to a thread
	defer runtime.UnlockOSThread()
	stdin, err := filled(cmd.Stdin)
	if err != nil {
		return a, err
	}
	defer stdin.Close()
	stdout, w, err := os.Pipe()
	if err != nil {
		return a, err
	}
	defer stdout.Close()
	p, err := Start(cmd.Args, cmd.Environ(), [3]*os.File{stdin, w, w})
	w.Close()
	if err != nil {
		return a, err
	}
	var out []byte
	read := make(chan error)
	go func() {
		var err error
		out, err = io.ReadAll(stdout)
		read <- err
	}()
	err = trace(p)
	err = errors.Join(err, <-read)
	return plugintest.Answer{Stdout: string(out), Status: p.Status.ExitStatus()}, err
}

// filled returns a pipe that the text comes out of, if there is one, or the file
// that it is.
func filled(text io.Reader) (r *os.File, err error) {
	if f, ok := text.(*os.File); ok {
		return f, nil
	}
	r, w, err := os.Pipe()
	if err == nil && text != nil {
		_, err = io.Copy(w, text)
	}
	w.Close()
	return r, err
}

// Kill sends the signal. SIGKILL ends a process before it makes the system call at
// which it stopped.
func Kill(signal unix.Signal) func(pid int) error {
	return func(pid int) error { return os.NewSyscallError("kill", unix.Kill(pid, signal)) }
}
