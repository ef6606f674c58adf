package owned

import (
	"os"
	"testing"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

func TestMain(m *testing.M) {
	os.Exit(testns.Main(m))
}
