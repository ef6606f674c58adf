package reliability

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A stop is one entry of a process into the kernel.
type stop struct {
	nth  int
	call uint64 // the number of the system call
}

func (s stop) String() string {
	return fmt.Sprintf("stop %d, at %s", s.nth, callName(s.call))
}

// callName names the system calls that can change something.
func callName(nr uint64) string {
	if name, ok := changing()[nr]; ok {
		return name
	}
	return fmt.Sprintf("system call %d", nr)
}

// changing returns the system calls of the plugin that change something on the
// node, or that wait for others.
func changing() map[uint64]string {
	return map[uint64]string{
		unix.SYS_MKDIRAT: "mkdirat", unix.SYS_RENAMEAT: "renameat", unix.SYS_RENAMEAT2: "renameat2",
		unix.SYS_UNLINKAT: "unlinkat", unix.SYS_SYMLINKAT: "symlinkat", unix.SYS_MOUNT: "mount", unix.SYS_BPF: "bpf", unix.SYS_FLOCK: "flock",
		unix.SYS_FCHMODAT: "fchmodat", unix.SYS_FCHMOD: "fchmod", unix.SYS_WRITE: "write",
		unix.SYS_EXIT_GROUP: "exit_group",
	}
}

// isChanging counts the stops at calls that can change something.
func isChanging(nr uint64) bool {
	_, ok := changing()[nr]
	return ok
}

// isAny counts the stops at all calls but those that the Go runtime makes by
// itself, from a thread that watches the others: how many depends on the time.
func isAny(nr uint64) bool {
	switch nr {
	case unix.SYS_NANOSLEEP, unix.SYS_FUTEX, unix.SYS_SCHED_YIELD, unix.SYS_TGKILL, unix.SYS_GETPID,
		unix.SYS_RT_SIGRETURN, unix.SYS_MADVISE, unix.SYS_SCHED_GETAFFINITY, unix.SYS_PREAD64,
		unix.SYS_SIGALTSTACK, unix.SYS_RT_SIGPROCMASK, unix.SYS_GETTID, unix.SYS_CLONE:
		return false
	}
	return true
}

// killAt executes the call and sends it the signal where one of its threads is
// about to make the nth system call that counts; SIGKILL ends it before it makes
// that call. It says where that was; a process that ended by itself before was
// not killed.
func (c call) killAt(n int, counts func(uint64) bool, signal unix.Signal) (at stop, killed bool, a answer, err error) {
	return c.interrupt(n, counts, func(pid int) error { return os.NewSyscallError("kill", unix.Kill(pid, signal)) })
}

// interrupt executes the call and calls then where one of its threads is about to
// make the nth system call that counts. The threads that are in the kernel wait.
func (c call) interrupt(n int, counts func(uint64) bool, then func(pid int) error) (at stop, killed bool, a answer, err error) {
	runtime.LockOSThread() // a tracee belongs to a thread
	defer runtime.UnlockOSThread()
	var files [3]*os.File
	if files[0], err = filled(c.stdin()); err != nil {
		return stop{}, false, answer{}, err
	}
	defer files[0].Close()
	stdout, w, err := os.Pipe()
	if err != nil {
		return stop{}, false, answer{}, err
	}
	defer stdout.Close()
	files[1], files[2] = w, w
	tr, err := startTraced(program, c.env(), files)
	w.Close()
	if err != nil {
		return stop{}, false, answer{}, err
	}
	at, err = tr.runTo(n, counts, then)
	if err != nil {
		return at, false, answer{}, err
	}
	out, err := io.ReadAll(stdout)
	return at, tr.status.Signaled(), answer{stdout: string(out), status: tr.status.ExitStatus()}, err
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

// A tracee is a process that this thread traces.
type tracee struct {
	pid    int
	status unix.WaitStatus // when it has ended
}

// startTraced executes the program, which waits before its first instruction.
func startTraced(argv0 string, env []string, files [3]*os.File) (*tracee, error) {
	pid, err := syscall.ForkExec(argv0, []string{argv0}, &syscall.ProcAttr{
		Env: env, Files: []uintptr{files[0].Fd(), files[1].Fd(), files[2].Fd()},
		Sys: &syscall.SysProcAttr{Ptrace: true, Setpgid: true},
	})
	if err != nil {
		return nil, fmt.Errorf("executing %s: %w", argv0, err)
	}
	tr := &tracee{pid: pid}
	if _, _, err := tr.wait(); err != nil {
		return nil, err
	}
	const options = unix.PTRACE_O_TRACECLONE | unix.PTRACE_O_TRACESYSGOOD | unix.PTRACE_O_EXITKILL
	if err := unix.PtraceSetOptions(pid, options); err != nil {
		return nil, os.NewSyscallError("ptrace", err)
	}
	return tr, tr.resume(pid, 0)
}

// wait waits for one of the threads. A process group of its own keeps other
// children of this thread out of it.
func (tr *tracee) wait() (tid int, ws unix.WaitStatus, err error) {
	for {
		tid, err = unix.Wait4(-tr.pid, &ws, unix.WALL|unix.WNOTHREAD, nil)
		if !errors.Is(err, unix.EINTR) {
			return tid, ws, os.NewSyscallError("wait4", err)
		}
	}
}

// resume lets the thread run to its next entry into, or exit from, the kernel.
// One that was killed in the meantime is none of its business.
func (tr *tracee) resume(tid, signal int) error {
	err := unix.PtraceSyscall(tid, signal)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	return os.NewSyscallError("ptrace", err)
}

// runTo lets the process run to its end, and calls then at its nth stop that counts.
func (tr *tracee) runTo(n int, counts func(uint64) bool, then func(pid int) error) (at stop, err error) {
	seen := 0
	for {
		tid, ws, err := tr.wait()
		if err != nil {
			return at, err
		}
		if ws.Exited() || ws.Signaled() {
			if tid == tr.pid {
				tr.status = ws
				return at, nil
			}
			continue
		}
		nr, ok := entry(tid, ws)
		if ok && counts(nr) {
			seen++
		}
		if seen == n && at.nth == 0 {
			at = stop{n, nr}
			if err := then(tr.pid); err != nil {
				return at, err
			}
		}
		if err := tr.resume(tid, passOn(ws)); err != nil {
			return at, err
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

// entry returns the number of the system call that the thread is about to make.
func entry(tid int, ws unix.WaitStatus) (nr uint64, ok bool) {
	if ws.StopSignal() != unix.SIGTRAP|0x80 {
		return 0, false
	}
	const getSyscallInfo, isEntry = 0x420e, 1 // PTRACE_GET_SYSCALL_INFO since Linux 5.3
	var info struct {
		op     uint8
		arch   uint32
		ip, sp uint64
		nr     uint64
		args   [6]uint64
	}
	_, _, errno := unix.Syscall6(unix.SYS_PTRACE, getSyscallInfo, uintptr(tid),
		unsafe.Sizeof(info), uintptr(unsafe.Pointer(&info)), 0, 0)
	return info.nr, errno == 0 && info.op == isEntry
}
