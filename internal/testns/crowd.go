package testns

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
)

// roleEnv tells a process of a crowd what it is to do.
const roleEnv = "BPFFS_TEST_ROLE"

// Role returns what this process is to do in a [Crowd], empty for the test itself.
func Role() string {
	return os.Getenv(roleEnv)
}

// A Member is what one process of a crowd did.
type Member struct {
	Stdout, Stderr string
	Err            error // its exit status
}

// Crowd runs the test binary n times at once, with the role and the arguments in
// its environment, holds all processes until the last has started, lets go, and
// waits for them. TestMain must call what belongs to [Role], which begins with
// [Await].
func Crowd(tb testing.TB, n int, role string, env func(i int) []string) []Member {
	tb.Helper()
	Need(tb)
	gate, let, err := os.Pipe()
	Must(tb, err)
	defer gate.Close()
	cmds := make([]*exec.Cmd, n)
	outs := make([][2]bytes.Buffer, n)
	for i := range cmds {
		cmd := Command(role, env(i)...)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = gate, &outs[i][0], &outs[i][1]
		Must(tb, cmd.Start())
		cmds[i] = cmd
	}
	let.Close()
	members := make([]Member, n)
	for i, cmd := range cmds {
		err := cmd.Wait()
		members[i] = Member{outs[i][0].String(), outs[i][1].String(), err}
	}
	return members
}

// Await blocks a process of a crowd until all have started.
func Await() {
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		fmt.Fprintf(os.Stderr, "testns: waiting for the others: %v\n", err)
		os.Exit(1)
	}
}
