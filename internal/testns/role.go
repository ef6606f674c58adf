package testns

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
)

// Act is for TestMain: in a process of a [Crowd], or one that [Start] started, it
// does what belongs to its [Role] and ends the process. In the test itself it
// does nothing.
func Act(roles map[string]func(stdout io.Writer) error) {
	if Role() == "" {
		return
	}
	act, ok := roles[Role()]
	if !ok {
		fmt.Fprintf(os.Stderr, "testns: there is no role %q\n", Role())
		os.Exit(2)
	}
	if err := act(os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// Command returns a command that runs this program in the role, with more
// variables in its environment, in the namespaces of this process.
func Command(role string, env ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(append(os.Environ(), Environ(role)), env...)
	return cmd
}

// Environ returns the variable that gives a process a role.
func Environ(role string) string { return roleEnv + "=" + role }

// Start runs the test binary with the role and the environment until the test
// ends or kill is called, which sends SIGKILL. It returns after the process
// printed a line. [Await] blocks the process for as long as it is wanted.
func Start(tb testing.TB, role string, env ...string) (kill func()) {
	tb.Helper()
	return start(tb, role, Command(role, env...))
}

// StartApart is [Start] in a mount namespace of its own. It returns the number of the
// process.
func StartApart(tb testing.TB, role string, env ...string) (pid int) {
	tb.Helper()
	cmd := Command(role, env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	start(tb, role, cmd)
	return cmd.Process.Pid
}

func start(tb testing.TB, role string, cmd *exec.Cmd) (kill func()) {
	tb.Helper()
	Need(tb)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	Must(tb, err)
	stdout, err := cmd.StdoutPipe()
	Must(tb, err)
	Must(tb, cmd.Start())
	kill = sync.OnceFunc(func() {
		defer stdin.Close()
		if err := cmd.Process.Kill(); err != nil {
			tb.Errorf("killing the process in role %q: %v", role, err)
		}
		if err := cmd.Wait(); err == nil {
			tb.Errorf("the process in role %q ended before it was killed", role)
		}
	})
	tb.Cleanup(kill)
	if _, err := bufio.NewReader(stdout).ReadString('\n'); err != nil {
		tb.Fatalf("waiting for the process in role %q: %v", role, err)
	}
	return kill
}
