// Package pods plays a node with pods whose packets pktcount counts, for tests
// and demonstrations. All of it happens in the namespaces of the process, which
// [Isolated] makes and which end with it.
package pods

import (
	"os/exec"
	"syscall"
)

// Isolated returns a command that runs this program again in mount, network and
// process namespaces of its own. Needs root.
func Isolated(args ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:   syscall.CLONE_NEWPID | syscall.CLONE_NEWNET,
		Unshareflags: syscall.CLONE_NEWNS, // also makes propagation private
		Pdeathsig:    syscall.SIGKILL,
	}
	return cmd
}
