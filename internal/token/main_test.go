package token

import (
	"fmt"
	"io"
	"os"
	"testing"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

func TestMain(m *testing.M) {
	testns.Act(map[string]func(io.Writer) error{sandbox: beSandbox, neighbours: beNeighbours, pod: bePod})
	if err := lookForNeighbours(); err != nil {
		fmt.Fprintf(os.Stderr, "finding a small mount namespace: %v\n", err)
		os.Exit(1)
	}
	os.Exit(testns.Main(m))
}
