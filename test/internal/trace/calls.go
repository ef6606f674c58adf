package trace

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Name names the system calls that the programs here make.
func Name(nr uint64) string {
	if name, ok := changing()[nr]; ok {
		return name
	}
	if name, ok := looking()[nr]; ok {
		return name
	}
	return fmt.Sprintf("system call %d", nr)
}

// looking returns system calls that change nothing.
func looking() map[uint64]string {
	return map[uint64]string{
		unix.SYS_OPENAT: "openat", unix.SYS_OPENAT2: "openat2", unix.SYS_CLOSE: "close", unix.SYS_READ: "read", unix.SYS_FCNTL: "fcntl",
		unix.SYS_NEWFSTATAT: "newfstatat", unix.SYS_FSTAT: "fstat", unix.SYS_FSTATFS: "fstatfs", unix.SYS_STATFS: "statfs",
		unix.SYS_STATX: "statx", unix.SYS_STATMOUNT: "statmount", unix.SYS_READLINKAT: "readlinkat",
		unix.SYS_GETDENTS64: "getdents64", unix.SYS_LSEEK: "lseek", unix.SYS_PPOLL: "ppoll", unix.SYS_GETEUID: "geteuid",
		unix.SYS_MMAP: "mmap", unix.SYS_PRLIMIT64: "prlimit64", unix.SYS_RT_SIGACTION: "rt_sigaction",
		unix.SYS_EPOLL_CREATE1: "epoll_create1", unix.SYS_EPOLL_CTL: "epoll_ctl", unix.SYS_EVENTFD2: "eventfd2",
	}
}

// changing returns the system calls that change something on the node, or that
// wait for others.
func changing() map[uint64]string {
	return map[uint64]string{
		unix.SYS_MKDIRAT: "mkdirat", unix.SYS_RENAMEAT: "renameat", unix.SYS_RENAMEAT2: "renameat2",
		unix.SYS_UNLINKAT: "unlinkat", unix.SYS_SYMLINKAT: "symlinkat", unix.SYS_BPF: "bpf", unix.SYS_FLOCK: "flock",
		unix.SYS_FSOPEN: "fsopen", unix.SYS_FSCONFIG: "fsconfig", unix.SYS_FSMOUNT: "fsmount", unix.SYS_MOVE_MOUNT: "move_mount",
		unix.SYS_FSPICK: "fspick", unix.SYS_MOUNT_SETATTR: "mount_setattr", unix.SYS_UMOUNT2: "umount2",
		unix.SYS_FCHMODAT: "fchmodat", unix.SYS_FCHMOD: "fchmod", unix.SYS_FCHOWN: "fchown", unix.SYS_FSYNC: "fsync", unix.SYS_WRITE: "write",
		unix.SYS_EXIT_GROUP: "exit_group",
	}
}

// Changing counts the stops at calls that can change something.
func Changing(nr uint64) bool {
	_, ok := changing()[nr]
	return ok
}

// Any counts the stops at all calls but those that the Go runtime makes by
// itself, from a thread that watches the others: how many depends on the time.
func Any(nr uint64) bool {
	switch nr {
	case unix.SYS_NANOSLEEP, unix.SYS_FUTEX, unix.SYS_SCHED_YIELD, unix.SYS_TGKILL, unix.SYS_GETPID,
		unix.SYS_RT_SIGRETURN, unix.SYS_MADVISE, unix.SYS_SCHED_GETAFFINITY, unix.SYS_PREAD64,
		unix.SYS_SIGALTSTACK, unix.SYS_RT_SIGPROCMASK, unix.SYS_GETTID, unix.SYS_CLONE:
		return false
	}
	return true
}
