// Package reliability kills, races, starves and deceives the built plugin, and
// then looks at what is left. "make build" builds what it runs.
//
// By default a run takes a minute and a half. The flags -all, -duration and -soak make
// it as thorough as one likes; see docs/reliability.md.
package reliability

import (
	"flag"
	"io"
	"os"
	"testing"
	"time"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/test/internal/node"
	"github.com/cni-bpffs/cni-bpffs/test/internal/plugintest"
)

// Flags of this package.
const (
	flagAll      = "all"
	flagDuration = "duration"
	flagSoak     = "soak"
)

func TestMain(m *testing.M) {
	testns.Act(map[string]func(io.Writer) error{
		"neighbour":             neighbour,
		"detacher":              detacher,
		plugintest.RestrictRole: plugintest.Restrict,
	})
	flag.Bool(flagAll, false, "kill at every system call, also at those that cannot change anything")
	flag.Duration(flagDuration, 8*time.Second, "how long to race, and how long to kill at random times")
	flag.Duration(flagSoak, 4*time.Second, "how long pods come and go on one node")
	os.Exit(testns.Main(m, func() error { return node.Mount("../..") }))
}

// option returns the value of a flag of this package.
func option[T any](name string) T {
	return flag.Lookup(name).Value.(flag.Getter).Get().(T)
}
