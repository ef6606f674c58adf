// Package install runs the built bpffsctl on directories of its own: it installs,
// watches, uninstalls, and is killed. "make build" builds what it runs.
package install

import (
	"flag"
	"io"
	"os"
	"testing"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// flagAll makes the kills thorough.
const flagAll = "all"

func TestMain(m *testing.M) {
	testns.Act(map[string]func(io.Writer) error{rewriterRole: rewrite})
	if err := flag.Set("test.parallel", "16"); err != nil { // most of the time they wait
		panic(err)
	}
	flag.Bool(flagAll, false, "kill at every system call, also at those that cannot change anything")
	os.Exit(testns.Main(m))
}
