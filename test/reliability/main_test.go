// Package reliability kills, races, starves and deceives the built plugin, and
// then looks at what is left. "make build" builds what it runs.
//
// By default a run takes a minute and a half. The flags -all and -duration make
// it as thorough as one likes; see docs/reliability.md.
package reliability

import (
	"flag"
	"fmt"
	"io"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// Flags of this package.
const (
	flagAll      = "all"
	flagDuration = "duration"
)

func TestMain(m *testing.M) {
	testns.Act(map[string]func(io.Writer) error{
		"neighbour": neighbour,
		"restrict":  restrict,
	})
	flag.Bool(flagAll, false, "kill at every system call, also at those that cannot change anything")
	flag.Duration(flagDuration, 15*time.Second, "how long to race, and how long to kill at random times")
	os.Exit(testns.Main(m, ownRun))
}

// ownRun hides /run, so that tests find no fallback and other users can get to
// the nodes below it.
func ownRun() error {
	if err := syscall.Mount("tmpfs", "/run", "tmpfs", 0, "mode=0755"); err != nil {
		return fmt.Errorf("mounting a tmpfs at /run: %w", err)
	}
	return nil
}

// option returns the value of a flag of this package.
func option[T any](name string) T {
	return flag.Lookup(name).Value.(flag.Getter).Get().(T)
}
