// Package integration runs the built plugin as container runtimes do: through
// libcni, through cnitool, and by itself with an environment and a standard
// input. It takes declared maps of every type through the life of a pod, and sends
// packets through pods. "make tools" builds what it runs.
package integration

import (
	"io"
	"os"
	"testing"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/test/internal/plugintest"
)

func TestMain(m *testing.M) {
	testns.Act(map[string]func(io.Writer) error{plugintest.RestrictRole: plugintest.Restrict})
	os.Exit(testns.Main(m))
}
