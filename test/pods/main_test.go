// Package pods runs the built plugin beside a kubelet's directory, and looks at what
// a pod sees in its volume. The pods are processes in namespaces of their own; the
// tests of test/runtimes have real ones.
package pods

import (
	"flag"
	"io"
	"os"
	"testing"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/test/internal/plugintest"
)

// flagAll is a flag of this package.
const flagAll = "all"

func TestMain(m *testing.M) {
	testns.Act(map[string]func(io.Writer) error{
		"container":             container,
		"holder":                holder,
		"pause":                 pause,
		"remover":               remover,
		plugintest.RestrictRole: plugintest.Restrict,
	})
	flag.Bool(flagAll, false, "kill at each system call, not at some, and try all that may come next, not one of them")
	os.Exit(testns.Main(m))
}
