package token

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"
)

// fsopenIn opens a context of bpf from within the user namespace. A file system
// belongs to the user namespace of who opens its context, and no thread of a program
// with several can enter one: so a child does it, and leaves the descriptor.
func fsopenIn(userNS *os.File) (*os.File, error) {
	return fsopenThrough(smallMountNS(), userNS)
}

// fsopenThrough is like fsopenIn, from the mount namespace small, which it closes, or
// from this process's if that is nil.
func fsopenThrough(small, userNS *os.File) (*os.File, error) {
	if small != nil {
		defer small.Close()
	}
	c := &child{steps: fsopenSteps(userNS, small)}
	err := c.run()
	runtime.KeepAlive(userNS)
	runtime.KeepAlive(small)
	if err != nil {
		return nil, fmt.Errorf("opening a bpffs in the user namespace of the pod: %w", err)
	}
	return os.NewFile(c.result, "the bpffs of a pod's user namespace"), nil
}

// run lets a child do the steps, and returns what is wrong with the first that fails.
func (c *child) run() error {
	pid, errno := fork(c)
	if errno != 0 {
		return os.NewSyscallError("clone", errno)
	}
	if err := reap(pid); err != nil {
		return err
	}
	if c.errno != 0 {
		s := c.steps[c.failed]
		return fmt.Errorf("%s: %w: %s", s.name, c.errno, s.hint)
	}
	if !c.done {
		return errors.New("the child process was killed before it was done: try again")
	}
	return nil
}

// reap waits until the child is gone. The kernel keeps nothing of it where the
// program was started with SIGCHLD ignored.
func reap(pid int) error {
	for {
		_, err := syscall.Wait4(pid, nil, 0, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.ECHILD):
			return nil
		default:
			return os.NewSyscallError("wait4", err)
		}
	}
}

// How many mounts a mount namespace may have to be copied as it is, and how many
// other ones are looked at to find one.
const (
	fewMounts   = 32
	mostVisited = 16
)

// smallMountNS returns a mount namespace with few mounts, which the child enters
// first: it needs one that its user namespace owns, and gets a copy of the one it is
// in, mount by mount. Nil if this process's own is small, or none was found. The first
// after the node's own is that of the kernel's devtmpfs, which has a single mount.
// Linux 6.12 can tell; it needs CAP_SYS_ADMIN.
func smallMountNS() *os.File {
	own, err := os.Open("/proc/self/ns/mnt")
	if err != nil {
		return nil
	}
	defer own.Close()
	if count, err := countMounts(own); err != nil || count <= fewMounts {
		return nil
	}
	for _, side := range []uintptr{mountNSNext, mountNSPrev} {
		if small := findSmall(own, side); small != nil {
			return small
		}
	}
	return nil
}

// findSmall returns the nearest mount namespace with few mounts on one side of ns.
func findSmall(ns *os.File, side uintptr) *os.File {
	for range mostVisited {
		beside, count, err := besideMountNS(ns, side)
		if err != nil {
			return nil
		}
		if count <= fewMounts {
			return beside
		}
		defer beside.Close()
		ns = beside
	}
	return nil
}
