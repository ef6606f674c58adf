// Package runtimes runs the plugin under real container runtimes, in chains with
// the plugins of others, and with the programs that open its maps.
//
// Every test runs in mount, network and process namespaces of its own, so that
// runtimes find a node that is theirs, and nothing is left when it ends.
package runtimes

import (
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// initRole is the role of the first process of the new namespaces.
const initRole = "init"

func TestMain(m *testing.M) {
	testns.Act(map[string]func(io.Writer) error{initRole: initProcess, holderRole: holder})
	if testns.Inside() {
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
func initProcess(io.Writer) error {
	proc, err := os.StartProcess("/proc/self/exe", os.Args, &os.ProcAttr{
		Env:   append([]string{testns.Environ("")}, os.Environ()...), // of two values Go takes the first
		Files: []*os.File{os.Stdin, os.Stdout, os.Stderr},
	})
	if err != nil {
		return err
	}
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case err != nil && err != syscall.EINTR:
			return os.NewSyscallError("wait4", err)
		case pid == proc.Pid && status != 0:
			return fmt.Errorf("the test ended with the wait status %#x", status)
		case pid == proc.Pid:
			return nil
		}
	}
}

// onNode says whether the test is to go on, because it has a node to itself. If
// not, it has been run on one, by another process.
func onNode(t *testing.T) bool {
	t.Helper()
	if testns.Inside() {
		prepareNode(t)
		return true
	}
	testns.NeedRoot(t)
	t.Parallel()
	cmd := testns.Isolated("-test.v", "-test.run=^"+t.Name()+"$")
	cmd.Env = append(cmd.Env, testns.Environ(initRole))
	out, err := cmd.CombinedOutput()
	removeCgroups(t)
	if err != nil || testing.Verbose() {
		t.Logf("on a node of its own:\n%s", out)
	}
	testns.Must(t, err)
	if !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Skip("see above")
	}
	return false
}
