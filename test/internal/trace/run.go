package trace

import (
	"io"
	"os"
	"os/exec"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/cni-bpffs/cni-bpffs/test/internal/plugintest"
)

// Run runs the command, and calls then where one of its threads is about to make
// the nth system call that counts; the threads that are in the kernel wait. It says
// where that was, and whether a signal ended the process. Standard input and output
// have to fit into pipes.
func Run(cmd *exec.Cmd, n int, counts func(uint64) bool, then func(pid int) error) (at Stop, killed bool, a plugintest.Answer, err error) {
	runtime.LockOSThread() // a tracee belongs to a thread
	defer runtime.UnlockOSThread()
	stdin, err := filled(cmd.Stdin)
	if err != nil {
		return at, false, a, err
	}
	defer stdin.Close()
	stdout, w, err := os.Pipe()
	if err != nil {
		return at, false, a, err
	}
	defer stdout.Close()
	p, err := Start(cmd.Args, cmd.Environ(), [3]*os.File{stdin, w, w})
	w.Close()
	if err != nil {
		return at, false, a, err
	}
	if at, err = p.RunTo(n, counts, then); err != nil {
		return at, false, a, err
	}
	out, err := io.ReadAll(stdout)
	return at, p.Status.Signaled(), plugintest.Answer{Stdout: string(out), Status: p.Status.ExitStatus()}, err
}

// filled returns a pipe that the text comes out of, if there is one.
func filled(text io.Reader) (r *os.File, err error) {
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
