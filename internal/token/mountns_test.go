package token

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// neighbours is the role of a process that looks for a small mount namespace. Only
// who is in the node's process namespace may look, and the other tests are not.
const neighbours = "neighbours"

// lookForNeighbours runs the role where it can: as root, before the tests enter
// namespaces of their own. It keeps the mount and the network namespace from the node.
func lookForNeighbours() error {
	hasTokens := CheckKernel() == nil
	if os.Geteuid() != 0 || testns.Inside() || !hasTokens {
		return nil
	}
	cmd := testns.Command(neighbours)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Unshareflags: syscall.CLONE_NEWNS}
	return cmd.Run()
}

// beNeighbours looks for the mount namespace of another process, which has few mounts,
// while its own has many, and opens a bpffs by way of it.
func beNeighbours(stdout io.Writer) (err error) {
	own, err := os.Open("/proc/self/ns/mnt")
	if err != nil {
		return err
	}
	defer own.Close()
	if _, _, err := besideMountNS(own, mountNSPrev); errors.Is(err, syscall.ENOTTY) || errors.Is(err, syscall.EPERM) {
		fmt.Fprintf(stdout, "not tested: finding a small mount namespace, which needs Linux 6.12 and the node's process namespace: %v\n", err)
		return nil
	}
	dir, err := os.MkdirTemp("", "token")
	if err != nil {
		return err
	}
	defer os.Remove(dir)
	alone := testns.Command(sandbox, emptyRoot+"="+dir)
	alone.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	letAlone, err := await(alone)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, letAlone()) }()
	defer unmountAll(dir)
	for range 3 * fewMounts {
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=4k"); err != nil {
			return err
		}
	}
	return opensThroughSmall()
}

func opensThroughSmall() (err error) {
	inner := inUserNS(testns.Command(sandbox), 0, 0)
	letInner, err := await(inner)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, letInner()) }()
	ns, _, err := UserNSOf(fmt.Sprintf("/proc/%d/ns/net", inner.Process.Pid))
	if err != nil {
		return err
	}
	defer ns.Close()
	small := smallMountNS()
	if small == nil {
		return fmt.Errorf("no mount namespace with at most %d mounts is found beside this one", fewMounts)
	}
	count, err := countMounts(small)
	if err == nil && count > fewMounts {
		err = fmt.Errorf("a mount namespace with %d mounts is taken for a small one", count)
	}
	if err != nil {
		return errors.Join(err, small.Close())
	}
	context, err := fsopenThrough(small, ns)
	if err != nil {
		return err
	}
	return context.Close()
}

func unmountAll(dir string) {
	for syscall.Unmount(dir, syscall.MNT_DETACH) == nil {
	}
}
