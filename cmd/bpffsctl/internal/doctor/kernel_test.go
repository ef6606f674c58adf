package doctor

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
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
		says, cure string
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
			if err := json.Unmarshal([]byte(m.Stdout), &all); err != nil {
				t.Fatal(err)
			}
			found := of(all, row.check)
			if len(found) != 1 || found[0].Status != row.status || !strings.Contains(found[0].Detail, row.says) || !strings.Contains(found[0].Cure, row.cure) {
				t.Errorf("%s: %+v; wanted %s with %q and the cure %q", row.check, found, row.status, row.says, row.cure)
			}
			if row.check == "privilege" && len(all) != 1 {
				t.Errorf("beside the privilege it looked at %+v", all[1:])
			}
		})
	}
}

func TestKernelWithoutBPF(t *testing.T) {
	fault{
		check: "kernel-filesystem", status: Failure, says: "no file system bpf", cure: "CONFIG_BPF_SYSCALL=y",
		make: func(r *rig) {
			without := filepath.Join(r.t.TempDir(), "filesystems")
			if err := os.WriteFile(without, []byte("nodev\tsysfs\nnodev\tbpffs\n\text4\n"), 0o600); err != nil {
				r.t.Fatal(err)
			}
			testns.Bind(r.t, without, filesystems)
		},
		mend: func(r *rig) { unmount(r.t, filesystems) },
	}.test(t)
}

func TestDecide(t *testing.T) {
	for _, row := range []struct {
		name   string
		found  []Finding
		status Status
		says   string
	}{
		{"root", decidePrivilege(0), OK, "is root"},
		{"5.9", decideKernelVersion("5.9.16", false), Warning, "older than 5.10"},
		{"4.19", decideKernelVersion("4.19.0-27-amd64", false), Warning, "older than 5.10"},
		{"5.10", decideKernelVersion("5.10.0-8-amd64", false), OK, "no statmount"},
		{"6.1", decideKernelVersion("6.1.0", false), OK, "no statmount"},
		{"6.12", decideKernelVersion("6.12.1+deb", true), OK, "has statmount"},
		{"no version", decideKernelVersion("next", true), Warning, "cannot tell"},
		{"bpf(2) not built in", decideKernelBPF(syscall.ENOSYS), Failure, "not implemented"},
		{"bpf(2) fails otherwise", decideKernelBPF(syscall.ENOMEM), Failure, "cannot allocate"},
		{"no /proc", decideMountNamespace(false, os.ErrNotExist), Warning, "cannot tell"},
		{"half of the IDs", decideFree(inUse(32768)), OK, "32768 of 65535"},
		{"90 % of the IDs", decideFree(inUse(58981)), OK, "58981 of 65535"},
		{"more than 90 % of the IDs", decideFree(inUse(58982)), Warning, "58982 of 65535"},
		{"all but one ID", decideFree(inUse(65534)), Warning, "65534 of 65535"},
		{"all IDs", decideFree(inUse(65535)), Failure, "no pod can start"},
	} {
		if len(row.found) != 1 || row.found[0].Status != row.status || !strings.Contains(row.found[0].Detail, row.says) {
			t.Errorf("%s: %+v; wanted %s with %q", row.name, row.found, row.status, row.says)
		}
	}
}

func inUse(n int) (s sight) {
	s.seen.Free = 65535 - n
	return s
}

func TestOccupies(t *testing.T) {
	for _, row := range []struct {
		declared string
		name     string
		want     bool
	}{
		{"stats_", "stats_00001", true},
		{"stats_", "stats_65535", true},
		{"stats_", "stats_65536", false},
		{"stats_", "stats_00000", false},
		{"stats_", "stats_0001", false},
		{"stats_", "stats_000001", false},
		{"stats_", "stats_", false},
		{"stats_", "cilium_policy_00001", false},
		{"", "cilium_policy_00001", true},
		{"", "cilium_lxc", false},
		{"", "00001", false},
	} {
		var s sight
		if row.declared != "" {
			s.names = []string{"other_", row.declared}
		}
		if got := s.occupies(row.name); got != row.want {
			t.Errorf("with %q declared, %q occupies an ID: %v; wanted %v", row.declared, row.name, got, row.want)
		}
	}
}

func TestFindHolder(t *testing.T) {
	const locks = `1: FLOCK  ADVISORY  WRITE 11 00:2a:5 0 EOF
1: -> FLOCK  ADVISORY  WRITE 12 00:2a:7 0 EOF
2: FLOCK  ADVISORY  WRITE 13 00:2a:7 0 EOF
3: POSIX  ADVISORY  READ  14 fd:01:12345 128 128
4: OFDLCK ADVISORY  WRITE -1 fd:01:9 0 EOF
5: short
`
	for _, row := range []struct {
		i    inode
		want int
	}{
		{inode{0, 0x2a, 5}, 11},
		{inode{0, 0x2a, 7}, 13},
		{inode{0xfd, 1, 12345}, 14},
		{inode{0xfd, 1, 9}, 0},
		{inode{0, 0x2a, 6}, 0},
	} {
		if got := findHolder(locks, row.i); got != row.want {
			t.Errorf("holder of %+v = %d; wanted %d", row.i, got, row.want)
		}
	}
}

// A check that hangs must not keep the others from being printed.
func TestPatience(t *testing.T) {
	forever := check{"hangs", func(context.Context, *node) []Finding { select {} }}
	start := time.Now()
	found := forever.within(t.Context(), &node{limit: 10 * time.Millisecond})
	if len(found) != 1 || found[0].Status != Failure || found[0].Check != "hangs" || found[0].Cure == "" {
		t.Errorf("a check that hangs: %+v; wanted a failure with a cure", found)
	}
	if took := time.Since(start); took > time.Second {
		t.Errorf("it took %v", took)
	}
}

// Whatever is found, every check has its say, once in one place.
func TestEveryCheckSpeaks(t *testing.T) {
	for _, row := range []struct {
		name string
		make func(r *rig)
	}{
		{"healthy", func(*rig) {}},
		{"stacked", func(r *rig) { testns.Mount(r.t, "tmpfs", r.Root, "") }},
		{"unsafe", func(r *rig) { chmod(r.t, r.Root, 0o777) }},
		{"locked", func(r *rig) { r.hurry(); testns.Start(r.t, "hold records", envPath+"="+r.Root) }},
		{"nothing mounted", func(r *rig) { r.Root = filepath.Join(r.t.TempDir(), "missing") }},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := newRig(t)
			row.make(r)
			var names []string
			for _, f := range r.run(t) {
				names = append(names, f.Check)
				if f.Looked == "" || f.Detail == "" || !slices.Contains([]Status{OK, Warning, Failure}, f.Status) {
					t.Errorf("it says too little: %+v", f)
				}
			}
			if !slices.Equal(names, Names()) {
				t.Errorf("findings of %q; wanted one of each of %q", names, Names())
			}
		})
	}
}

func TestFailed(t *testing.T) {
	if Failed([]Finding{{Status: OK}, {Status: Warning}}) {
		t.Error("a warning is taken for a failure")
	}
	if !Failed([]Finding{{Status: OK}, {Status: Failure}, {Status: Warning}}) {
		t.Error("a failure is not seen")
	}
}

func TestCommand(t *testing.T) {
	for _, words := range [][]string{{"plain", "/sys/fs/bpf", "a=b"}, {"", "a b", "it's", "$(reboot)", "a;b", "é", "-x\n"}} {
		line := "printf '%s\\0' " + command(words...)
		out := shell(t, line)
		if want := strings.Join(words, "\x00") + "\x00"; out != want {
			t.Errorf("the shell takes %s for %q; wanted %q", line, out, want)
		}
	}
	if got, want := command("umount", "/sys/fs/bpf"), "umount /sys/fs/bpf"; got != want {
		t.Errorf("command = %s; wanted %s, as a person would type it", got, want)
	}
}

func TestList(t *testing.T) {
	names := []string{"a", "b", "c", "d", "e", "f", "g"}
	for n, want := range map[int]string{0: "", 1: "a", 5: "a, b, c, d, e", 6: "a, b, c, d, e and 1 more", 7: "a, b, c, d, e and 2 more"} {
		if got := list(names[:n]); got != want {
			t.Errorf("list of %d = %q; wanted %q", n, got, want)
		}
	}
	for n, want := range map[int]string{0: "0 pins", 1: "1 pin", 2: "2 pins"} {
		if got := count(n, "pin", "pins"); got != want {
			t.Errorf("count(%d) = %q; wanted %q", n, got, want)
		}
	}
}
