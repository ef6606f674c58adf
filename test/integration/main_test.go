// Package integration runs the built plugin as container runtimes do: through
// libcni, through cnitool, and by itself with an environment and a standard
// input. "make tools" builds what it runs.
package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// Under these names the test binary is another program.
const (
	recorder    = "recorder"     // a CNI plugin that writes down what it gets
	noStatmount = "no-statmount" // runs a command on a kernel without statmount(2)
)

func TestMain(m *testing.M) {
	programs := map[string]func() error{recorder: record, noStatmount: runWithoutStatmount}
	run, ok := programs[filepath.Base(os.Args[0])]
	if !ok {
		os.Exit(testns.Main(m))
	}
	status := 0
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		status = 1
	}
	syscall.Exit(status) // os.Exit lets the race detector wait for a second
}
