package token

import (
	"runtime"
	"syscall"
	"unsafe"
)

// A step is one system call of a child.
type step struct {
	name, hint string
	number     uintptr
	arg        [3]uintptr
	pointer    unsafe.Pointer // instead of the first argument, unless nil
}

// A child does some system calls in a process of its own. It shares the memory of
// this process, in which it leaves how far it came.
type child struct {
	steps  []step
	failed int           // the step that failed, if errno is set
	errno  syscall.Errno // of the last step that was done
	result uintptr       // of the last step that was done
	done   bool          // the child came to its end
}

//go:linkname beforeFork syscall.runtime_BeforeFork
func beforeFork()

//go:linkname afterFork syscall.runtime_AfterFork
func afterFork()

// rawVfork is syscall.rawVforkSyscall: a system call whose return address the child
// cannot overwrite on the stack that it shares with its parent.
//
//go:noescape
func rawVfork(number, a1, a2, a3 uintptr) (r1 uintptr, errno syscall.Errno)

// fork starts the child and returns when it has ended, or is about to. Whoever calls
// it must wait for the process. All signals stay blocked in the child, which so never
// runs a handler of this process.
//
// The child shares the memory (CLONE_VM), so that it costs the same however large this
// process is, and the descriptors (CLONE_FILES), so that what it opens stays. What it
// must not share is the root directory (no CLONE_FS): setns(2) refuses that.
func fork(c *child) (pid int, errno syscall.Errno) {
	beforeFork()
	r, errno := vfork(c)
	afterFork()
	return int(r), errno
}

// vfork returns in the parent only. Like syscall.forkAndExecInChild1 it does nothing
// there but return, because the child has used its stack frame.
//
//go:norace
//go:nosplit
//go:noinline
func vfork(c *child) (pid uintptr, errno syscall.Errno) {
	if runtime.GOARCH == "s390x" { // the first two arguments are swapped there
		pid, errno = rawVfork(syscall.SYS_CLONE, 0, cloneFlags, 0)
	} else {
		pid, errno = rawVfork(syscall.SYS_CLONE, cloneFlags, 0, 0)
	}
	if errno != 0 || pid != 0 {
		return pid, errno
	}
	c.inChild()
	return 0, 0
}

// inChild does the steps and ends the process. It must not allocate, grow the stack,
// or call anything that could.
//
//go:norace
//go:nosplit
//go:noinline
func (c *child) inChild() {
	for i := range c.steps {
		s := &c.steps[i]
		first := s.arg[0]
		if s.pointer != nil {
			first = uintptr(s.pointer)
		}
		c.result, _, c.errno = syscall.RawSyscall(s.number, first, s.arg[1], s.arg[2])
		if c.errno != 0 {
			c.failed = i
			break
		}
	}
	c.done = true
	for {
		_, _, _ = syscall.RawSyscall(syscall.SYS_EXIT, 0, 0, 0)
	}
}
