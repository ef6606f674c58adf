package token

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cni-bpffs/cni-bpffs/internal/bpfmount"
	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// sandbox is the role of a process that only holds its namespaces.
const sandbox = "sandbox"

// What the environment of a sandbox can say.
const (
	noMountNS = "BPFFS_TEST_NO_MOUNT_NS" // forbid mount namespaces in its user namespace
	emptyRoot = "BPFFS_TEST_EMPTY_ROOT"  // leave all mounts but an empty one here
)

func beSandbox(stdout io.Writer) error {
	if os.Getenv(noMountNS) != "" {
		if err := os.WriteFile("/proc/sys/user/max_mnt_namespaces", []byte("0"), 0); err != nil {
			return err
		}
	}
	if dir := os.Getenv(emptyRoot); dir != "" {
		if err := leaveMounts(dir); err != nil {
			return err
		}
	}
	if _, err := fmt.Fprintln(stdout, "up"); err != nil {
		return err
	}
	testns.Await()
	return nil
}

// leaveMounts leaves all mounts but an empty one. From an initial RAM file system, which
// has few, the kernel lets nobody leave.
func leaveMounts(dir string) error {
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, ""); err != nil {
		return err
	}
	for _, step := range []func() error{
		func() error { return os.Chdir(dir) },
		func() error {
			err := syscall.PivotRoot(".", ".")
			if errors.Is(err, syscall.EINVAL) {
				return nil
			}
			return err
		},
		func() error { return syscall.Unmount(".", syscall.MNT_DETACH) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// podRoot is the user of the host that is root in the user namespaces of the tests.
const podRoot = 100_000

// inUserNS makes the command run in a user and a network namespace of its own, with
// 65,536 users and groups from podRoot on, the first of which have these IDs inside.
func inUserNS(cmd *exec.Cmd, firstUser, firstGroup int) *exec.Cmd {
	cmd.Env = append(cmd.Env, "GORACE=atexit_sleep_ms=0") // else each waits for a second at its end
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: firstUser, HostID: podRoot, Size: 65_536}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: firstGroup, HostID: podRoot, Size: 65_536}},
		Pdeathsig:   syscall.SIGKILL,
	}
	if firstUser == 0 && firstGroup == 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{NoSetGroups: true}
	}
	return cmd
}

// await starts the command and waits for its first line. The process ends when let is
// called.
func await(cmd *exec.Cmd) (let func() error, err error) {
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	let = func() error { return errors.Join(stdin.Close(), cmd.Wait()) }
	if _, err := bufio.NewReader(stdout).ReadString('\n'); err != nil {
		return nil, errors.Join(err, let())
	}
	return let, nil
}

// hold keeps the process of the command until the test ends, and returns the path of
// its network namespace.
func hold(t testing.TB, cmd *exec.Cmd) (netns string) {
	t.Helper()
	testns.Need(t)
	let, err := await(cmd)
	testns.Must(t, err)
	t.Cleanup(func() {
		if err := let(); err != nil {
			t.Errorf("the process with namespaces of its own: %v", err)
		}
	})
	return fmt.Sprintf("/proc/%d/ns/net", cmd.Process.Pid)
}

// foreignNS returns the user namespace of a sandbox.
func foreignNS(t testing.TB) *os.File {
	t.Helper()
	return userNSOf(t, hold(t, inUserNS(testns.Command(sandbox), 0, 0)))
}

func userNSOf(t testing.TB, netns string) *os.File {
	t.Helper()
	ns, foreign, err := UserNSOf(netns)
	testns.Must(t, err)
	t.Cleanup(func() { ns.Close() })
	if !foreign {
		t.Fatalf("the user namespace of %s is said to be this process's", netns)
	}
	return ns
}

// mountAt makes the file system of the context and mounts it at a path until the test
// ends.
func mountAt(t *testing.T, context *os.File, path string) {
	t.Helper()
	root, err := bpfmount.Make(context, "token", 0o755)
	testns.Must(t, err)
	defer root.Close()
	dir, err := os.Open(path)
	testns.Must(t, err)
	defer dir.Close()
	testns.Must(t, bpfmount.Attach(root, dir))
	t.Cleanup(func() { testns.Must(t, unix.Unmount(path, unix.MNT_DETACH)) })
}

// openDir returns a directory of the test that every user can reach.
func openDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	testns.Must(t, os.Chmod(dir, 0o755))
	testns.Must(t, os.Chmod(filepath.Dir(dir), 0o755))
	return dir
}
