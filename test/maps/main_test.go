// Package maps takes declared maps of every type through the life of a pod, with
// the built plugin, and reads them with cilium/ebpf.
package maps

import (
	"fmt"
	"os"
	"syscall"
	"testing"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// Where the tests find things, in namespaces of their own.
const (
	built  = "../../bin" // by "make tools"
	binDir = "/run/bpffs-test/bin"
	plugin = binDir + "/bpffs"
	root   = "/sys/fs/bpf"
)

func TestMain(m *testing.M) {
	os.Exit(testns.Main(m, node))
}

// node shows the built plugin at a place of its own on an empty /run.
func node() error {
	bin, err := os.Open(built)
	if err != nil {
		return fmt.Errorf("%w: run \"make tools\" first", err)
	}
	defer bin.Close()
	if err := syscall.Mount("tmpfs", "/run", "tmpfs", 0, ""); err != nil {
		return os.NewSyscallError("mount", err)
	}
	if err := os.MkdirAll(binDir, 0o755); err != nil {
		return err
	}
	source := fmt.Sprintf("/proc/self/fd/%d", bin.Fd())
	return os.NewSyscallError("bind", syscall.Mount(source, binDir, "", syscall.MS_BIND, ""))
}
