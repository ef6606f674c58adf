package testns

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
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

// Start runs the test binary with the role and the environment until the test
// ends or kill is called, which sends SIGKILL. It returns after the process
// printed a line. [Await] blocks the process for as long as it is wanted.
func Start(tb testing.TB, role string, env ...string) (kill func()) {
	tb.Helper()
	Need(tb)
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(append(os.Environ(), roleEnv+"="+role), env...)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
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
