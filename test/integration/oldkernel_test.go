package integration

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// onOldKernel returns the plugin as it runs on a kernel before 6.8, which has no
// statmount(2).
func (p plugin) onOldKernel() plugin {
	p.argv = append([]string{filepath.Join(ownDir, noStatmount)}, p.argv...)
	return p
}

// runWithoutStatmount executes its arguments with a seccomp filter that answers
// statmount(2) with ENOSYS.
func runWithoutStatmount() error {
	runtime.LockOSThread() // filters belong to threads
	const offsetOfNumber = 0
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offsetOfNumber},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_STATMOUNT, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return os.NewSyscallError("prctl", err)
	}
	err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0)
	if err != nil {
		return os.NewSyscallError("prctl", err)
	}
	if _, _, errno := unix.Syscall6(unix.SYS_STATMOUNT, 0, 0, 0, 0, 0, 0); errno != unix.ENOSYS {
		return fmt.Errorf("statmount with the filter: got %w, want ENOSYS", errno)
	}
	if len(os.Args) < 2 {
		return errors.New("no command to run")
	}
	return syscall.Exec(os.Args[1], os.Args[1:], os.Environ())
}
