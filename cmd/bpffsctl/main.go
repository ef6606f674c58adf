// Command bpffsctl is for the people who run nodes with the CNI plugin bpffs: it
// installs the plugin, shows what it keeps for which pod, says what is wrong, and
// removes what lost pods left.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/output"
)

// buildVersion is set by the linker.
var buildVersion = "unknown"

// Exit codes, which the help of the command lists.
const (
	exitDone   = 0
	exitFound  = 1 // the command worked, and what it looked for is wrong: errFound
	exitFailed = 2 // the command could not be carried out, or was called wrongly
)

// maxMessage is how many characters of an error are printed: enough for any of ours,
// but what a command is called with may be of any length.
const maxMessage = 4096

// errFound says that a command has reported something wrong on the node.
var errFound = errors.New("something is wrong on this node")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run carries out the command that args name and returns its exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, errFound):
		return exitFound
	}
	fmt.Fprintf(stderr, "bpffsctl: %.*s\n", maxMessage, output.Error(err))
	return exitFailed
}
