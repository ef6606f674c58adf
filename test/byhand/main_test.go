// Package byhand runs the built plugin with an environment and a standard input
// of its own making, and in chains that cnitool drives.
package byhand

import (
	"fmt"
	"os"
	"path/filepath"
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
	switch {
	case filepath.Base(os.Args[0]) == recorderName:
		record()
	case testns.Role() == roleRun:
		runRole()
	default:
		os.Exit(testns.Main(m, node))
	}
}

// node hides what the host has where plugins and libcni write, and shows the
// built binaries at a place that no mount hides.
func node() error {
	bin, err := os.Open(built)
	if err != nil {
		return fmt.Errorf("%w: run \"make tools\" first", err)
	}
	defer bin.Close()
	for _, dir := range []string{"/run", "/var/lib"} {
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, ""); err != nil {
			return os.NewSyscallError("mount", err)
		}
	}
	if err := os.MkdirAll(binDir, 0o755); err != nil {
		return err
	}
	source := fmt.Sprintf("/proc/self/fd/%d", bin.Fd())
	return os.NewSyscallError("bind", syscall.Mount(source, binDir, "", syscall.MS_BIND, ""))
}
