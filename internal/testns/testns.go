// Package testns runs tests in namespaces of their own, so that they can mount
// and unmount what they like and leave nothing on the host.
package testns

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
)

// insideEnv marks the process that [Main] started in the namespaces.
const insideEnv = "BPFFS_TEST_INSIDE"

// Main is for TestMain: it runs the test binary once more, in a mount, network
// and process namespace of its own with its own /proc, and returns the exit code.
// Without root it runs the tests where it is; those that call [Need] skip.
//
// Before the tests setup is called, in the namespaces.
func Main(m *testing.M, setup ...func() error) int {
	if os.Geteuid() != 0 {
		return m.Run()
	}
	if !Inside() {
		return runInside()
	}
	runtime.LockOSThread() // no test may change what /proc/1 shows: the first thread
	setup = append([]func() error{mountProc, hideBPFFS}, setup...)
	for _, step := range setup {
		if err := step(); err != nil {
			fmt.Fprintf(os.Stderr, "testns: preparing the namespaces: %v\n", err)
			return 1
		}
	}
	return m.Run()
}

// Isolated returns a command that runs this program once more, in a mount, network
// and process namespace of its own, where [Inside] is true. It needs root.
func Isolated(args ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), insideEnv+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:   syscall.CLONE_NEWPID | syscall.CLONE_NEWNET,
		Unshareflags: syscall.CLONE_NEWNS, // also makes propagation private
		Pdeathsig:    syscall.SIGKILL,
	}
	return cmd
}

func runInside() int {
	cmd := Isolated(os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.ExtraFiles = inherited()
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode()
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "testns: running the tests in namespaces of their own: %v\n", err)
		return 1
	}
	return 0
}

// mountProc shows the processes of the new namespace.
func mountProc() error {
	return syscall.Mount("proc", "/proc", "proc", 0, "")
}

// hideBPFFS takes the host's bpffs out of the mount namespace of the tests.
func hideBPFFS() error {
	for syscall.Unmount("/sys/fs/bpf", syscall.MNT_DETACH) == nil {
	}
	return nil
}

// inherited returns the files by which a fuzzing worker speaks to its
// coordinator: descriptors 3 and 4, where they are pipes.
func inherited() []*os.File {
	var files []*os.File
	for fd := uintptr(3); fd <= 4; fd++ {
		var st syscall.Stat_t
		if syscall.Fstat(int(fd), &st) != nil || st.Mode&syscall.S_IFMT != syscall.S_IFIFO {
			break
		}
		files = append(files, os.NewFile(fd, "inherited"))
	}
	return files
}

// Inside reports whether this process runs in the namespaces of [Main] or [Isolated].
func Inside() bool {
	return os.Getenv(insideEnv) != ""
}

// Need skips the test unless it runs as root in namespaces of its own. In CI it
// fails instead, for there nothing may be missing.
func Need(tb testing.TB) {
	tb.Helper()
	if !Inside() {
		skip(tb)
	}
	NeedRoot(tb)
}

// NeedRoot is like [Need], but for a test that makes namespaces by itself.
func NeedRoot(tb testing.TB) {
	tb.Helper()
	if os.Geteuid() != 0 {
		skip(tb)
	}
}

func skip(tb testing.TB) {
	tb.Helper()
	const reason = "it needs root, for namespaces, mounts and BPF"
	if os.Getenv("CI") != "" {
		tb.Fatal(reason)
	}
	tb.Skip(reason)
}

// Must ends the test unless err is nil.
func Must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}
