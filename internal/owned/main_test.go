package owned

import (
	"os"
	"testing"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

func TestMain(m *testing.M) {
	os.Exit(testns.Main(m)) //nolint:forbidigo // the tests ran in another process, whose exit code this is
}
