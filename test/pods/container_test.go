package pods

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/cni-bpffs/cni-bpffs/internal/bpf"
	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// Where a container sees the volume, and what tells it what to be.
const (
	inside = "/run/bpffs"
	envUID = "BPFFS_TEST_UID"
)

// A user is what a container's process is.
type user struct {
	name    string
	uid     string // after the volume is mounted; empty: 0
	newUser bool   // it has a user namespace of its own
}

func users() []user {
	return []user{
		{"root of a plain pod", "", false},
		{"another user of a plain pod", "1000", false},
		{"root of a pod with a user namespace", "", true},
		{"another user of a pod with a user namespace", "1000", true},
	}
}

// run starts a container of the pod with what attempts does, and returns the outcomes.
func (u user) run(t *testing.T, volume string) map[string]string {
	t.Helper()
	tree, err := unix.OpenTree(unix.AT_FDCWD, volume, unix.OPEN_TREE_CLONE|unix.AT_RECURSIVE|unix.OPEN_TREE_CLOEXEC)
	testns.Must(t, err)
	mounted := os.NewFile(uintptr(tree), volume)
	defer mounted.Close()
	cmd := testns.Command("container", envUID+"="+u.uid)
	cmd.ExtraFiles = []*os.File{mounted}
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	if u.newUser {
		cmd.SysProcAttr = testns.UserNS(podRoot, syscall.CLONE_NEWNS)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if _, ended := errors.AsType[*exec.ExitError](err); ended {
		t.Fatalf("the container: %v: %s", err, stderr.Bytes())
	}
	testns.Must(t, err)
	got := make(map[string]string)
	testns.Must(t, json.Unmarshal(out, &got))
	return got
}

// container sees the volume as a container does, by a recursive copy without
// propagation, and has the capabilities that runtimes give by default.
func container(stdout io.Writer) error {
	runtime.LockOSThread()
	if err := unix.Mount("tmpfs", "/run", "tmpfs", 0, ""); err != nil {
		return os.NewSyscallError("mount", err)
	}
	if err := os.Mkdir(inside, 0o755); err != nil {
		return err
	}
	const tree = 3 // the first of the files that the test passed on
	if err := unix.MoveMount(tree, "", unix.AT_FDCWD, inside, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return os.NewSyscallError("move_mount", err)
	}
	if err := become(os.Getenv(envUID)); err != nil {
		return err
	}
	outcome := make(map[string]string)
	for what, try := range attempts() {
		outcome[what] = "done"
		if err := try(); err != nil {
			outcome[what] = errnoOf(err)
		}
	}
	return json.NewEncoder(stdout).Encode(outcome)
}

// become drops capabilities, and root.
func become(uid string) error {
	const byDefault = 1<<unix.CAP_CHOWN | 1<<unix.CAP_DAC_OVERRIDE | 1<<unix.CAP_FSETID | 1<<unix.CAP_FOWNER | 1<<unix.CAP_MKNOD |
		1<<unix.CAP_NET_RAW | 1<<unix.CAP_SETGID | 1<<unix.CAP_SETUID | 1<<unix.CAP_SETFCAP | 1<<unix.CAP_SETPCAP |
		1<<unix.CAP_NET_BIND_SERVICE | 1<<unix.CAP_SYS_CHROOT | 1<<unix.CAP_KILL | 1<<unix.CAP_AUDIT_WRITE
	if err := testns.KeepCapabilities(byDefault); err != nil {
		return err
	}
	var n int
	if uid == "" {
		return nil
	}
	if _, err := fmt.Sscan(uid, &n); err != nil {
		return err
	}
	for _, call := range []uintptr{unix.SYS_SETRESGID, unix.SYS_SETRESUID} { // of this thread
		if _, _, errno := unix.RawSyscall(call, uintptr(n), uintptr(n), uintptr(n)); errno != 0 {
			return errno
		}
	}
	return nil
}

// errnoOf names the errno that an attempt ended with.
func errnoOf(err error) string {
	if errno, ok := errors.AsType[unix.Errno](err); ok {
		return unix.ErrnoName(errno)
	}
	return err.Error()
}

// attempts are what a container does with what it sees, and what others left for it.
func attempts() map[string]func() error {
	const read, write = inside + "/eth0/maps", inside + "/eth0/maps-rw"
	return map[string]func() error{
		"read a map to read":                    func() error { return use(read+"/policy_", true, false) },
		"open a map to read for writing":        func() error { return use(read+"/policy_", false, false) },
		"read a map to write, only reading":     func() error { return use(write+"/stats_", true, false) },
		"write a map to write":                  func() error { return use(write+"/stats_", false, true) },
		"write by a descriptor that only reads": func() error { return use(write+"/stats_", true, true) },
		"list maps":                             func() error { return lists(read, "policy_") },
		"list maps-rw":                          func() error { return lists(write, "stats_") },
		"unlink in maps":                        func() error { return os.Remove(read + "/policy_") },
		"unlink in maps-rw":                     func() error { return os.Remove(write + "/stats_") },
		"mkdir in maps":                         func() error { return os.Mkdir(read+"/more", 0o700) },
		"mkdir in maps-rw":                      func() error { return os.Mkdir(write+"/more", 0o700) },
		"symlink in maps-rw":                    func() error { return os.Symlink("x", write+"/more") },
		"chmod in maps":                         func() error { return os.Chmod(read+"/policy_", 0o666) },
		"chmod in maps-rw":                      func() error { return os.Chmod(write+"/stats_", 0o600) },
		"chmod maps-rw":                         func() error { return os.Chmod(write, 0o777) },
		"chown in maps":                         func() error { return os.Chown(read+"/policy_", 1000, 1000) },
		"rename in maps-rw":                     func() error { return os.Rename(write+"/stats_", write+"/more") },
		"pin in maps-rw":                        func() error { return pinAgain(write+"/stats_", write+"/more") },
		"pin in maps":                           func() error { return pinAgain(write+"/stats_", read+"/more") },
		"a hard link from maps-rw to maps":      func() error { return os.Link(write+"/stats_", read+"/more") },
		"umount maps":                           func() error { return unix.Unmount(read, unix.MNT_DETACH) },
		"remount maps":                          func() error { return unix.Mount("", read, "", unix.MS_REMOUNT, "") },
		"remount maps-rw, the mount":            func() error { return unix.Mount("", write, "", unix.MS_REMOUNT|unix.MS_BIND, "") },
		"no map of another pod":                 func() error { return exists(inside+"/*/maps*/*_", 2) },
		"a map by its ID":                       byID,
	}
}

// use opens a map, looks up a value, and may change it.
func use(pin string, readOnly, change bool) error {
	open := bpf.Open
	if readOnly {
		open = bpf.OpenToRead
	}
	f, err := open(pin)
	if err != nil {
		return err
	}
	fd, err := unix.Dup(int(f.Fd()))
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	m, err := ebpf.NewMapFromFD(fd)
	if err != nil {
		return err
	}
	defer m.Close()
	var value uint64
	if err := m.Lookup(uint32(0), &value); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return err
	}
	if change {
		return m.Put(uint32(0), value+1)
	}
	return nil
}

func lists(dir, want string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var got []string
	for _, e := range entries {
		if filepath.Ext(e.Name()) != ".debug" {
			got = append(got, e.Name())
		}
	}
	if !slices.Equal(got, []string{want}) {
		return fmt.Errorf("%q", got)
	}
	return nil
}

func pinAgain(pin, to string) error {
	f, err := bpf.Open(pin)
	if err != nil {
		return err
	}
	defer f.Close()
	return bpf.Pin(f, to)
}

// exists reports that there are not n paths of the pattern.
func exists(pattern string, n int) error {
	found, err := filepath.Glob(pattern)
	if err == nil && len(found) != n {
		err = fmt.Errorf("%q", found)
	}
	return err
}

// byID wants no map to be had by its ID.
func byID() error {
	_, err := ebpf.MapGetNextID(0)
	return err
}

// TestContainer: what a container can do with what it sees, whoever it is.
func TestContainer(t *testing.T) {
	for _, u := range users() {
		t.Run(u.name, func(t *testing.T) {
			s := newSandbox(t)
			other := s
			other.uid, other.container = "other", "c2"
			other.makeVolume(t)
			other.add(t)
			s.add(t)
			got := u.run(t, s.volume())
			want := make(map[string]string)
			for what := range attempts() {
				want[what] = "EROFS"
			}
			for _, can := range []string{
				"read a map to read", "read a map to write, only reading", "write a map to write", "list maps", "list maps-rw", "no map of another pod",
			} {
				want[can] = "done"
			}
			for _, never := range []string{"umount maps", "remount maps", "remount maps-rw, the mount", "a map by its ID", "write by a descriptor that only reads"} {
				want[never] = "EPERM"
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", u.name, diff)
			}
			s.wantShown(t)
			s.del(t)
			other.del(t)
			s.wantNothing(t)
		})
	}
}
