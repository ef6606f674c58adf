package plugintest

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// RestrictRole is the role of a process that limits itself and becomes the plugin:
// TestMain must give it to [testns.Act], with [Restrict].
const RestrictRole = "restrict"

// envLimits carries limits to that process.
const envLimits = "BPFFS_TEST_LIMITS"

// Limits are what a plugin cannot do.
type Limits struct {
	Drop     []uintptr             // capabilities it does not have
	Fail     map[uint32]unix.Errno // system calls that fail
	Commands map[uint32]unix.Errno // commands of bpf(2) that fail
	Files    uint64                // how many files it can have open
}

// Within returns the plugin within limits.
func (p Plugin) Within(l Limits) (Plugin, error) {
	text, err := json.Marshal(l)
	p.Argv = append([]string{"/proc/self/exe"}, p.Argv...)
	p.Env = append(slices.Clone(p.Env), testns.Environ(RestrictRole), envLimits+"="+string(text))
	return p, err
}

// Restrict applies the limits and executes the arguments of this process.
func Restrict(io.Writer) error {
	runtime.LockOSThread()
	var l Limits
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
	if err := l.Refuse(); err != nil {
		return fmt.Errorf("installing the filter of system calls: %w", err)
	}
	if len(os.Args) < 2 {
		return errors.New("no command to run")
	}
	return syscall.Exec(os.Args[1], os.Args[1:], os.Environ())
}

// WithoutTokens is what a kernel before 6.9 cannot do: BPF_TOKEN_CREATE of bpf(2).
func WithoutTokens() Limits {
	const tokenCreate = 36 // enum bpf_cmd
	return Limits{Commands: map[uint32]unix.Errno{tokenCreate: unix.EINVAL}}
}

// Refuse makes what is in Fail and Commands fail for good, in this thread and in
// whatever it executes.
func (l Limits) Refuse() error {
	calls, commands := l.Fail, l.Commands
	if len(calls)+len(commands) == 0 {
		return nil
	}
	ofBPF := append([]unix.SockFilter{load(firstArgument())}, answers(commands)...)
	filter := append([]unix.SockFilter{load(0)}, answers(calls)...) // the number of the call
	filter = append(filter, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: uint8(len(ofBPF)), K: unix.SYS_BPF})
	filter = append(filter, ofBPF...)
	filter = append(filter, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW})
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&prog)), 0, 0)
	if err != nil {
		return err
	}
	for nr, errno := range calls {
		if _, _, got := unix.Syscall6(uintptr(nr), 0, 0, 0, 0, 0, 0); got != errno {
			return fmt.Errorf("system call %d with the filter: got %w, want %w", nr, got, errno)
		}
	}
	return nil
}

// load loads a word of struct seccomp_data.
func load(offset uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
}

// firstArgument returns where the lower half of the call's first argument is.
func firstArgument() uint32 {
	const argument = 16
	if binary.NativeEndian.Uint16([]byte{0, 1}) == 1 { // big endian
		return argument + 4
	}
	return argument
}

// answers returns the errno where the loaded word is one of these.
func answers(errnos map[uint32]unix.Errno) (filter []unix.SockFilter) {
	for value, errno := range errnos {
		filter = append(filter,
			unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: value},
			unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(errno)})
	}
	return filter
}
