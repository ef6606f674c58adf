package doctor

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// envHow tells a process in what circumstances it looks for faults.
const envHow = "BPFFS_TEST_HOW"

// runElsewhere prints the findings that a process in other circumstances has.
func runElsewhere(stdout io.Writer) error {
	testns.Await()
	runtime.LockOSThread()
	how := map[string]func() error{
		"as another user":      func() error { return syscall.Setuid(stranger) },
		"without bpf(2)":       func() error { return refuse(unix.SYS_BPF, unix.EPERM) },
		"in another namespace": func() error { return syscall.Unshare(syscall.CLONE_NEWNS) },
	}
	if err := how[os.Getenv(envHow)](); err != nil {
		return err
	}
	var found []Finding
	if os.Getenv(envHow) == "in another namespace" { // which only this thread is in
		found = checkMountNamespace(context.Background(), nil)
		found[0].Check = "mount-namespace"
	} else {
		found = Run(context.Background(), Options{Root: os.Getenv(envPath), Patience: 200 * time.Millisecond})
	}
	return json.NewEncoder(stdout).Encode(found)
}

// refuse makes the kernel answer a system call with an error, in all threads.
func refuse(call uint32, errno unix.Errno) error {
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: call, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(errno)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return os.NewSyscallError("prctl", err)
	}
	_, _, err := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC,
		uintptr(unsafe.Pointer(&program)))
	if err != 0 {
		return os.NewSyscallError("seccomp", err)
	}
	return nil
}

func TestCircumstances(t *testing.T) {
	for _, row := range []struct {
		how, check string
		status     Status
		says, fix  string
	}{
		{"as another user", "privilege", Failure, "only root", "sudo bpffsctl doctor"},
		{"without bpf(2)", "kernel-bpf", Failure, "operation not permitted", "outside of containers"},
		{"in another namespace", "mount-namespace", Warning, "not the mount namespace of process 1", "nsenter --target 1 --mount"},
	} {
		t.Run(row.how, func(t *testing.T) {
			r := newRig(t)
			m := testns.Crowd(t, 1, "doctor", func(int) []string { return []string{envHow + "=" + row.how, envPath + "=" + r.Root} })[0]
			if m.Err != nil {
				t.Fatalf("%v: %s", m.Err, m.Stderr)
			}
			var all []Finding
			testns.Must(t, json.Unmarshal([]byte(m.Stdout), &all))
			found := of(all, row.check)
			if len(found) != 1 || found[0].Status != row.status || !strings.Contains(found[0].Detail, row.says) || !strings.Contains(found[0].Fix, row.fix) {
				t.Errorf("%s: got %+v, want %s with %q and the fix %q", row.check, found, row.status, row.says, row.fix)
			}
			if row.check == "privilege" && len(all) != 1 {
				t.Errorf("beside the privilege it looked at %+v", all[1:])
			}
		})
	}
}

func TestKernelWithoutBPF(t *testing.T) {
	fault{
		check: "kernel-filesystem", status: Failure, says: "no file system bpf", fix: "CONFIG_BPF_SYSCALL=y",
		make: func(r *rig) {
			without := filepath.Join(r.t.TempDir(), "filesystems")
			if err := os.WriteFile(without, []byte("nodev\tsysfs\nnodev\tbpffs\n\text4\n"), 0o600); err != nil {
				r.t.Fatal(err)
			}
			testns.Bind(r.t, without, filesystems)
		},
		repair: func(r *rig) { unmount(r.t, filesystems) },
	}.test(t)
}
