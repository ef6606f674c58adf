package reliability

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// envLimits carries limits to the process that executes the plugin.
const envLimits = "BPFFS_TEST_LIMITS"

// limits are what the plugin cannot do.
type limits struct {
	Drop  []uintptr             // capabilities it does not have
	Fail  map[uint32]unix.Errno // system calls that fail
	Files uint64                // how many files it can have open
}

// tryWith runs the plugin within the limits.
func (c call) tryWith(l limits) (answer, error) {
	text, err := json.Marshal(l)
	if err != nil {
		return answer{}, err
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(c.env(), "BPFFS_TEST_ROLE=restrict", envLimits+"="+string(text))
	cmd.Stdin = strings.NewReader(c.stdin())
	return run(cmd)
}

// restrict is the role of a process that limits itself and becomes the plugin.
func restrict(io.Writer) error {
	runtime.LockOSThread()
	var l limits
	if err := json.Unmarshal([]byte(os.Getenv(envLimits)), &l); err != nil {
		return err
	}
	for _, capability := range l.Drop {
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, capability, 0, 0, 0); err != nil {
			return fmt.Errorf("dropping the capability %d: %w", capability, err)
		}
	}
	if l.Files > 0 {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: l.Files, Max: l.Files}); err != nil {
			return err
		}
	}
	if err := refuse(l.Fail); err != nil {
		return fmt.Errorf("installing the filter of system calls: %w", err)
	}
	return syscall.Exec(program, []string{program}, os.Environ())
}

// refuse makes the system calls fail, in this thread and whatever it executes.
func refuse(calls map[uint32]unix.Errno) error {
	if len(calls) == 0 {
		return nil
	}
	filter := []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS}} // the number of the call
	for nr, errno := range calls {
		filter = append(filter,
			unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: nr},
			unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(errno)})
	}
	filter = append(filter, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW})
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	return unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&prog)), 0, 0)
}
