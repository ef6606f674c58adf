// Package runtimes runs the plugin under real container runtimes, in chains with
// the plugins of others, and with the programs that open its maps.
//
// Every test runs in mount, network and process namespaces of its own, so that
// runtimes find a node that is theirs, and nothing is left when it ends.
package runtimes

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// Environment variables that say which process this one is: the one that go test
// started, the first of the new namespaces, or the one that runs a test there.
const (
	roleVar  = "BPFFS_RUNTIMES_ROLE"
	roleInit = "init"
	roleNode = "node"
)

func TestMain(m *testing.M) {
	switch os.Getenv(roleVar) {
	case roleInit:
		os.Exit(initProcess())
	case roleNode:
		os.Exit(m.Run())
	}
	code, err := runReported(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// runReported runs the tests and prints the table of what works.
func runReported(m *testing.M) (code int, err error) {
	report, err := os.CreateTemp("", "bpffs-runtimes-*")
	if err != nil {
		return 0, err
	}
	if err := os.Setenv(reportVar, report.Name()); err != nil {
		return 0, err
	}
	code = m.Run()
	fmt.Print(table(report.Name()))
	return code, os.Remove(report.Name())
}

// initProcess runs the test, and reaps what runtimes leave to the first process
// of a namespace. When it ends, the kernel kills what is left.
func initProcess() int {
	proc, err := os.StartProcess("/proc/self/exe", os.Args, &os.ProcAttr{
		Env:   environ(roleNode),
		Files: []*os.File{os.Stdin, os.Stdout, os.Stderr},
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		if err != nil && err != syscall.EINTR {
			fmt.Fprintln(os.Stderr, "wait4:", err)
			return 1
		}
		if pid == proc.Pid {
			return status.ExitStatus() // -1, which is a failure, after a signal
		}
	}
}

// environ returns the environment of a process with that role. Of a variable that
// is there twice, Go takes the first.
func environ(role string) []string {
	return append([]string{roleVar + "=" + role}, os.Environ()...)
}

// onNode says whether the test is to go on, because it has a node to itself. If
// not, it has been run on one, by another process.
func onNode(t *testing.T) bool {
	t.Helper()
	if os.Getenv(roleVar) == roleNode {
		prepareNode(t)
		return true
	}
	if os.Geteuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("needs root")
		}
		t.Skip("needs root")
	}
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.v", "-test.run=^"+t.Name()+"$")
	cmd.Env = environ(roleInit)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:   syscall.CLONE_NEWPID | syscall.CLONE_NEWNET,
		Unshareflags: syscall.CLONE_NEWNS, // also makes propagation private
		Pdeathsig:    syscall.SIGKILL,
	}
	out, err := cmd.CombinedOutput()
	removeCgroups(t)
	if err != nil || testing.Verbose() {
		t.Logf("on a node of its own:\n%s", out)
	}
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Skip("see above")
	}
	return false
}
