package token

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// needTokens skips the test where the kernel has no tokens.
func needTokens(t testing.TB) {
	t.Helper()
	testns.Need(t)
	if err := CheckKernel(); err != nil {
		t.Skip(err)
	}
}

func TestBPFFSBelongsToThePod(t *testing.T) {
	needTokens(t)
	context, err := Open(foreignNS(t), Delegation{Maps: 1 << unix.BPF_MAP_TYPE_ARRAY})
	testns.Must(t, err)
	defer context.Close()
	dir := openDir(t)
	mountAt(t, context, dir)
	var st unix.Stat_t
	testns.Must(t, unix.Stat(dir, &st))
	if st.Uid != podRoot || st.Gid != podRoot {
		t.Errorf("the bpffs belongs to user %d and group %d, want the root of the pod: %d", st.Uid, st.Gid, podRoot)
	}
	if err := tokenOf(int32(open(t, dir))); err == nil {
		t.Error("a process outside of the pod made a token of the pod's bpffs")
	}
}

func open(t *testing.T, path string) int {
	t.Helper()
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	testns.Must(t, err)
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

// TestOpenUnderPressure forks again and again while the memory is collected, other
// threads fork, too, and goroutines are preempted by signals.
func TestOpenUnderPressure(t *testing.T) {
	needTokens(t)
	ns := foreignNS(t)
	before := descriptors(t)
	stop := make(chan struct{})
	var busy, opening sync.WaitGroup
	for range 2 {
		busy.Go(func() { makeGarbage(stop) })
	}
	for range 4 {
		opening.Go(func() {
			for range 50 {
				context, err := Open(ns, Delegation{})
				if err != nil {
					t.Error(err)
					return
				}
				context.Close()
			}
		})
	}
	opening.Wait()
	close(stop)
	busy.Wait()
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors are open, %d before", after, before)
	}
	if zombie, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); zombie != 0 || err != nil {
		t.Errorf("the process %d is a zombie (%v), want none but the sandbox, which lives", zombie, err)
	}
}

// makeGarbage keeps the collector at work, with deep stacks that grow and shrink.
func makeGarbage(stop <-chan struct{}) {
	var grow func(depth int) int
	grow = func(depth int) int {
		var frame [512]byte
		if depth == 0 {
			return len(frame)
		}
		return grow(depth-1) + int(frame[depth%len(frame)])
	}
	for {
		select {
		case <-stop:
			return
		default:
			grow(20)
			runtime.KeepAlive(make([]byte, 1<<20))
			runtime.GC()
		}
	}
}

func descriptors(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	testns.Must(t, err)
	return len(entries)
}

// TestParentStaysAsItWas looks whether the parent goes on undisturbed: its
// namespaces, users and signals are its own.
func TestParentStaysAsItWas(t *testing.T) {
	needTokens(t)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before := identity(t)
	context, err := Open(foreignNS(t), Delegation{})
	testns.Must(t, err)
	context.Close()
	if after := identity(t); after != before {
		t.Errorf("after Open this thread is\n%s\nbefore:\n%s", after, before)
	}
}

// identity is what a thread is: its namespaces, users, capabilities and signals.
func identity(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for _, ns := range []string{"user", "mnt", "net", "pid"} {
		link, err := os.Readlink("/proc/thread-self/ns/" + ns)
		testns.Must(t, err)
		b.WriteString(link + "\n")
	}
	status, err := os.ReadFile("/proc/thread-self/status")
	testns.Must(t, err)
	for line := range strings.Lines(string(status)) {
		for _, key := range []string{"Uid:", "Gid:", "CapEff:", "SigBlk:", "SigCgt:"} {
			if strings.HasPrefix(line, key) {
				b.WriteString(line)
			}
		}
	}
	return b.String()
}

func TestUserNSOf(t *testing.T) {
	testns.Need(t)
	ns, foreign, err := UserNSOf("/proc/self/ns/net")
	testns.Must(t, err)
	ns.Close()
	if foreign {
		t.Error("the user namespace of this process's network namespace is said to be another")
	}
	fifo := t.TempDir() + "/fifo"
	testns.Must(t, syscall.Mkfifo(fifo, 0o600))
	for _, row := range []struct{ path, want string }{
		{"/proc/self/ns/mnt", "/proc/self/ns/mnt is not a network namespace"},
		{"/proc/self/ns/user", "is not a network namespace"},
		{"/proc/self/status", "is not a network namespace"},
		{fifo, "is not a network namespace"},
		{t.TempDir(), "CNI_NETNS must be the path of one"},
		{"/run/netns/gone", "no such file"},
	} {
		ns, _, err := UserNSOf(row.path)
		if err == nil {
			ns.Close()
		}
		if err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("UserNSOf(%s): %v, want an error with %q", row.path, err, row.want)
		}
	}
}

func TestOpenSaysWhichStepFailed(t *testing.T) {
	needTokens(t)
	own, _, err := UserNSOf("/proc/self/ns/net")
	testns.Must(t, err)
	defer own.Close()
	mountNS, err := os.Open("/proc/self/ns/mnt")
	testns.Must(t, err)
	defer mountNS.Close()
	for _, row := range []struct {
		name string
		ns   *os.File
		want []string
	}{
		{"this process's own", own, []string{"entering it (setns)", "invalid argument", "needs root"}},
		{"not a user namespace", mountNS, []string{"entering it (setns)", "invalid argument"}},
		{"without a group 0", userNSOf(t, hold(t, inUserNS(testns.Command(sandbox), 0, 1))), []string{"setresgid", "must map group 0"}},
		{"without a user 0", userNSOf(t, hold(t, inUserNS(testns.Command(sandbox), 1, 0))), []string{"setresuid", "must map user 0"}},
		{"without mount namespaces", withoutMountNS(t), []string{"unshare", "no space left", "max_mnt_namespaces"}},
	} {
		before := descriptors(t)
		context, err := Open(row.ns, Delegation{})
		if err == nil {
			context.Close()
			t.Errorf("%s: no error", row.name)
			continue
		}
		for _, want := range row.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want an error with %q", row.name, err, want)
			}
		}
		if after := descriptors(t); after != before {
			t.Errorf("%s: %d descriptors are open, %d before", row.name, after, before)
		}
	}
}

func withoutMountNS(t *testing.T) *os.File {
	t.Helper()
	return userNSOf(t, hold(t, inUserNS(testns.Command(sandbox, noMountNS+"=1"), 0, 0)))
}

// BenchmarkOpen is what a token costs the ADD of a pod that gets one.
func BenchmarkOpen(b *testing.B) {
	needTokens(b)
	ns := foreignNS(b)
	dir := b.TempDir()
	mounts := 0
	for _, more := range []int{50, 2000} {
		for ; mounts < more; mounts++ {
			testns.Mount(b, "tmpfs", dir, "size=1m")
		}
		b.Run(fmt.Sprintf("mounts=%d", more), func(b *testing.B) {
			for b.Loop() {
				context, err := Open(ns, Delegation{})
				testns.Must(b, err)
				context.Close()
			}
		})
	}
}
