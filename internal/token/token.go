// Package token opens BPF file systems in which a pod can make BPF tokens: those that
// belong to the user namespace of the pod, with what is delegated to it.
//
// A token (Linux 6.9) lets a process that has CAP_BPF in that user namespace only use
// bpf(2) for the commands and types that the file system delegates.
package token

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/cni-bpffs/cni-bpffs/internal/bpfmount"
)

// Open opens a file system context of bpf (fsopen(2)) in the user namespace, which
// UserNSOf returned as foreign, and says in it what is delegated. The file system
// itself is still to be made. Afterwards this process is not dumpable (prctl(2)), so that
// only root of the node can trace it. It needs root in this process's user namespace
// and Linux 6.9.
func Open(userNS *os.File, d Delegation) (context *os.File, err error) {
	if err := CheckKernel(); err != nil {
		return nil, err
	}
	context, err = fsopenIn(userNS)
	if err != nil {
		return nil, err
	}
	for _, o := range d.options() {
		if err := setMask(context, o.key, o.mask); err != nil {
			return nil, errors.Join(err, context.Close())
		}
	}
	return context, nil
}

// setMask sets an option of the context to a set of bits.
func setMask(context *os.File, key string, mask uint64) error {
	return bpfmount.Set(context, key, fmt.Sprintf("%#x", mask))
}

// CheckKernel reports why the kernel cannot make tokens. The name of a mount option
// would not tell: older kernels pass over those that they do not know.
func CheckKernel() error {
	switch err := tokenOf(-1); {
	case errors.Is(err, syscall.EBADF):
		return nil
	case errors.Is(err, syscall.EINVAL):
		return errors.New("the kernel has no BPF tokens: they need Linux 6.9; remove delegate from the network configuration, or upgrade the kernel")
	default:
		return fmt.Errorf("asking the kernel for BPF tokens, which need Linux 6.9: %w", err)
	}
}

// UserNSOf returns the user namespace that owns the network namespace at the path,
// and whether it is another than this process's. The caller closes it. It needs
// /proc; an owner that is not this process's user namespace or below it is an error.
func UserNSOf(netns string) (userNS *os.File, foreign bool, err error) {
	userNS, err = ownerOf(netns)
	if err != nil {
		return nil, false, err
	}
	theirs, err := userNS.Stat()
	if err != nil {
		return nil, false, errors.Join(err, userNS.Close())
	}
	ours, err := os.Stat("/proc/self/ns/user")
	if err != nil {
		return nil, false, errors.Join(err, userNS.Close())
	}
	return userNS, !os.SameFile(theirs, ours), nil
}

func ownerOf(netns string) (*os.File, error) {
	f, err := os.OpenFile(netns, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if is, err := isNetNS(f); err != nil || !is {
		return nil, fmt.Errorf("%s is not a network namespace, so no user namespace owns it: CNI_NETNS must be the path of one", netns)
	}
	owner, err := ownerUserNS(f)
	if errors.Is(err, syscall.EPERM) {
		return nil, fmt.Errorf("the user namespace of %s is not below this process's: run the plugin in the host's user namespace: %w", netns, err)
	}
	return owner, err
}
