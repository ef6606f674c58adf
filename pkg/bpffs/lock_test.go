package bpffs

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// whileLocked calls wait, which waits for a lock that another process has in the
// role, then change, and after that kills the process.
func whileLocked(tb testing.TB, role, root string, wait func() error, change func()) error {
	tb.Helper()
	kill := testns.Start(tb, role, envRoot+"="+root)
	done := make(chan error, 1)
	go func() { done <- wait() }()
	awaitBlocked(tb, done)
	change()
	kill()
	return <-done
}

// awaitBlocked returns once a lock in /proc/locks has somebody who waits for it.
func awaitBlocked(tb testing.TB, done <-chan error) {
	tb.Helper()
	for start := time.Now(); time.Since(start) < 10*time.Second; time.Sleep(5 * time.Millisecond) {
		locks, err := os.ReadFile("/proc/locks")
		if err != nil {
			tb.Fatal(err)
		}
		if strings.Contains(string(locks), "-> FLOCK") {
			return
		}
		select {
		case err := <-done:
			tb.Fatalf("it did not wait for the lock: %v", err)
		default:
		}
	}
	tb.Fatal("nobody waits for the lock after 10 seconds")
}

// The bpffs whose records this process waited for is not the one at the root now.
func TestRecordsMountedAnewWhileWaiting(t *testing.T) {
	for _, row := range []struct {
		name string
		made []string // in the new bpffs
	}{
		{"with records", []string{"cni/layout-1"}},
		{"without records", nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			dir := newMapDir(t)
			var e *Endpoints
			err := whileLocked(t, "hold records", dir.Root(), func() (err error) {
				e, err = CreateEndpoints(t.Context(), dir)
				return err
			}, func() {
				testns.Mount(t, "bpf", dir.Root(), "")
				for _, made := range row.made {
					mkdir(t, filepath.Join(dir.Root(), made))
				}
			})
			if !errors.Is(err, ErrLocked) {
				t.Errorf("CreateEndpoints while a new bpffs is mounted: %v; wanted %v", err, ErrLocked)
			}
			if err == nil {
				closeRecords(t, e)
			}
		})
	}
}

func TestMountedByAnotherWhileWaiting(t *testing.T) {
	testns.Need(t)
	root := t.TempDir()
	var m MountPoint
	err := whileLocked(t, "hold lock", root, func() (err error) {
		m, err = Mount(t.Context(), Roots{Root: root})
		return err
	}, func() { testns.Mount(t, "bpf", root, "") })
	if want := (MountPoint{Path: root}); err != nil || m != want {
		t.Errorf("Mount while another process mounts = %+v, %v; wanted %+v", m, err, want)
	}
	expectLayers(t, root, []layer{{"bpf", "/"}})
}

func TestMountWithoutPrivilege(t *testing.T) {
	testns.Need(t)
	root := t.TempDir()
	chmod(t, filepath.Dir(root), 0o755)
	m := testns.Crowd(t, 1, "mount poorly", func(int) []string { return []string{envRoot + "=" + root} })[0]
	if m.Err != nil {
		t.Fatalf("%v: %s", m.Err, m.Stderr)
	}
	for i, call := range []string{"CheckMount", "Mount"} {
		if answer := strings.Split(m.Stdout, "\n")[i]; !strings.Contains(answer, "CAP_SYS_ADMIN") {
			t.Errorf("%s by user %d: %s; wanted CAP_SYS_ADMIN named", call, stranger, answer)
		}
	}
}

func TestWhyNotMounted(t *testing.T) {
	for _, row := range []struct {
		err  error
		want string
	}{
		{&os.PathError{Op: "mount", Err: syscall.EPERM}, "CAP_SYS_ADMIN"},
		{&os.PathError{Op: "mount", Err: syscall.ENODEV}, "CONFIG_BPF_SYSCALL"},
		{&os.PathError{Op: "mount", Err: syscall.EBUSY}, "kernel log"},
	} {
		if got := whyNotMounted(row.err); !strings.Contains(got, row.want) {
			t.Errorf("whyNotMounted(%v) = %q; wanted %q in it", row.err, got, row.want)
		}
	}
}
