// Package trace stops a process at its system calls.
package trace

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A Stop is one entry of a process into the kernel. The zero value is none.
type Stop struct {
	Nth  int
	Call uint64 // the number of the system call
}

func (s Stop) String() string {
	return fmt.Sprintf("stop %d, at %s", s.Nth, Name(s.Call))
}

// A Process is one that this thread traces, which must not change until it has
// ended: runtime.LockOSThread.
type Process struct {
	Status unix.WaitStatus // when it has ended
	pid    int
}

// Start executes the program, which waits before its first instruction.
func Start(argv, env []string, files [3]*os.File) (*Process, error) {
	pid, err := syscall.ForkExec(argv[0], argv, &syscall.ProcAttr{
		Env: env, Files: []uintptr{files[0].Fd(), files[1].Fd(), files[2].Fd()},
		Sys: &syscall.SysProcAttr{Ptrace: true, Setpgid: true},
	})
	if err != nil {
		return nil, fmt.Errorf("executing %s: %w", argv[0], err)
	}
	p := &Process{pid: pid}
	if _, _, err := p.wait(); err != nil {
		return nil, err
	}
	const options = unix.PTRACE_O_TRACECLONE | unix.PTRACE_O_TRACESYSGOOD | unix.PTRACE_O_EXITKILL
	if err := unix.PtraceSetOptions(pid, options); err != nil {
		return nil, os.NewSyscallError("ptrace", err)
	}
	return p, p.resume(pid, 0)
}

// wait waits for one of the threads. A process group of its own keeps other
// children of this thread out of it.
func (p *Process) wait() (tid int, ws unix.WaitStatus, err error) {
	for {
		tid, err = unix.Wait4(-p.pid, &ws, unix.WALL|unix.WNOTHREAD, nil)
		if !errors.Is(err, unix.EINTR) {
			return tid, ws, os.NewSyscallError("wait4", err)
		}
	}
}

// resume lets the thread run to its next entry into, or exit from, the kernel.
// One that was killed in the meantime is none of its business.
func (p *Process) resume(tid, signal int) error {
	err := unix.PtraceSyscall(tid, signal)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	return os.NewSyscallError("ptrace", err)
}

// RunTo lets the process run to its end, and calls then at its nth stop that
// counts. The threads that are in the kernel wait for that.
func (p *Process) RunTo(n int, counts func(uint64) bool, then func(pid int) error) (at Stop, err error) {
	seen := 0
	err = p.each(func(_ int, c call) error {
		if counts(c.nr) {
			seen++
		}
		if seen == n && at.Nth == 0 {
			at = Stop{n, c.nr}
			return then(p.pid)
		}
		return nil
	})
	return at, err
}

// each lets the process run to its end, and calls do where a thread is about to make
// a system call.
func (p *Process) each(do func(tid int, c call) error) error {
	for {
		tid, ws, err := p.wait()
		if err != nil {
			return err
		}
		if ws.Exited() || ws.Signaled() {
			if tid == p.pid {
				p.Status = ws
				return nil
			}
			continue
		}
		if c, ok := entry(tid, ws); ok {
			if err := do(tid, c); err != nil {
				return err
			}
		}
		if err := p.resume(tid, passOn(ws)); err != nil {
			return err
		}
	}
}

// passOn returns the signal that a stopped thread is to get.
func passOn(ws unix.WaitStatus) int {
	switch sig := ws.StopSignal(); sig {
	case unix.SIGSTOP, unix.SIGTRAP, unix.SIGTRAP | 0x80: // a new thread, a clone, a system call
		return 0
	default:
		return int(sig)
	}
}

// A call is a system call that is about to be made.
type call struct {
	nr   uint64
	args [6]uint64
}

// path returns the path that is an argument of the call.
func (c call) path(tid, arg int) (string, error) {
	buf := make([]byte, 256)
	n, err := unix.PtracePeekData(tid, uintptr(c.args[arg]), buf)
	if err != nil {
		return "", os.NewSyscallError("ptrace", err)
	}
	path, _, _ := bytes.Cut(buf[:n], []byte{0})
	return string(path), nil
}

// entry returns the system call that the thread is about to make.
func entry(tid int, ws unix.WaitStatus) (c call, ok bool) {
	if ws.StopSignal() != unix.SIGTRAP|0x80 {
		return c, false
	}
	const getSyscallInfo, isEntry = 0x420e, 1 // PTRACE_GET_SYSCALL_INFO since Linux 5.3
	var info struct {
		op     uint8
		arch   uint32
		ip, sp uint64
		call   call
	}
	_, _, errno := unix.Syscall6(unix.SYS_PTRACE, getSyscallInfo, uintptr(tid),
		unsafe.Sizeof(info), uintptr(unsafe.Pointer(&info)), 0, 0)
	return info.call, errno == 0 && info.op == isEntry
}
