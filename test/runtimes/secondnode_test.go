package runtimes

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// secondNodeVar is not empty in the process that is the second node.
const secondNodeVar = "BPFFS_SECOND_NODE"

const (
	secondName = "second"
	secondIP   = "10.244.80.2"
)

// startSecondNode starts the process of the second node, in a mount and a network
// namespace of its own, and returns its number.
func startSecondNode(t *testing.T) (pid int) {
	t.Helper()
	var out bytes.Buffer
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestCluster$")
	cmd.Env = append(os.Environ(), secondNodeVar+"=1")
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Unshareflags: syscall.CLONE_NEWNS}
	stdin, err := cmd.StdinPipe()
	testns.Must(t, err)
	testns.Must(t, cmd.Start())
	t.Cleanup(func() {
		stdin.Close()
		if err := cmd.Wait(); err != nil || t.Failed() {
			t.Errorf("the second node: %v\n%s", err, out.Bytes())
		}
	})
	mustRun(t, "ip", "link", "add", "second", "up", "master", "node0", "type", "veth", "peer", "name", "node0", "netns", strconv.Itoa(cmd.Process.Pid))
	return cmd.Process.Pid
}

// secondNode is what the second node does until it is told to end.
func secondNode(t *testing.T) {
	t.Helper()
	shared, err := os.OpenFile(clusterDir, unix.O_PATH, 0) // which prepareNode covers
	testns.Must(t, err)
	defer shared.Close()
	prepareNode(t)
	testns.Must(t, os.Mkdir(clusterDir, 0o755))
	testns.Bind(t, fmt.Sprintf("/proc/self/fd/%d", shared.Fd()), clusterDir)
	waitFor(t, "the interface", func() bool {
		_, err := netlink.LinkByName("node0")
		return err == nil
	})
	mustRun(t, "ip", "link", "set", "node0", "up")
	mustRun(t, "ip", "address", "add", secondIP+"/24", "dev", "node0")
	joinCluster(t, secondName, secondIP)
	testns.Await()
}
