package token

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// cloneFlags make a child whose end is reported as that of every other.
const cloneFlags = unix.CLONE_VM | unix.CLONE_VFORK | unix.CLONE_FILES | uintptr(unix.SIGCHLD)

// fsopenSteps open a context of bpf in the user namespace, as its root. They go
// through the mount namespace small, unless it is nil.
func fsopenSteps(userNS, small *os.File) []step {
	const needRoot = "it needs root: run the plugin in the host's user namespace"
	steps := []step{
		{
			name: "entering it (setns)", hint: needRoot,
			number: unix.SYS_SETNS, arg: [3]uintptr{userNS.Fd(), unix.CLONE_NEWUSER},
		}, {
			name: "making a mount namespace of its own (unshare)", hint: "sysctl user.max_mnt_namespaces may be too low",
			number: unix.SYS_UNSHARE, arg: [3]uintptr{unix.CLONE_NEWNS},
		}, {
			name: "becoming its group 0 (setresgid)", hint: "the user namespace must map group 0: see /proc/PID/gid_map of the pod",
			number: unix.SYS_SETRESGID,
		}, {
			name: "becoming its user 0 (setresuid)", hint: "the user namespace must map user 0: see /proc/PID/uid_map of the pod",
			number: unix.SYS_SETRESUID,
		}, {
			name: "fsopen", hint: "it needs CONFIG_BPF_SYSCALL",
			number: unix.SYS_FSOPEN, arg: [3]uintptr{0, unix.FSOPEN_CLOEXEC}, pointer: unsafe.Pointer(&[...]byte{'b', 'p', 'f', 0}),
		},
	}
	if small == nil {
		return steps
	}
	return append([]step{{
		name: "entering a small mount namespace (setns)", hint: needRoot,
		number: unix.SYS_SETNS, arg: [3]uintptr{small.Fd(), unix.CLONE_NEWNS},
	}}, steps...)
}

// cmdTokenCreate is BPF_TOKEN_CREATE of enum bpf_cmd (include/uapi/linux/bpf.h).
const cmdTokenCreate = 36

// tokenOf makes a token of the bpffs with the open root and closes it
// (BPF_TOKEN_CREATE). EBADF of no open file, EINVAL before Linux 6.9.
func tokenOf(root int32) error {
	attr := struct {
		flags uint32
		root  int32
	}{root: root}
	fd, _, errno := unix.Syscall(unix.SYS_BPF, cmdTokenCreate, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
	if errno != 0 {
		return os.NewSyscallError("bpf", errno)
	}
	return unix.Close(int(fd))
}

// isNetNS reports whether the open file is a network namespace.
func isNetNS(f *os.File) (bool, error) {
	kind, err := unix.IoctlRetInt(int(f.Fd()), unix.NS_GET_NSTYPE)
	return kind == unix.CLONE_NEWNET, err
}

// ownerUserNS opens the user namespace that owns the namespace.
func ownerUserNS(ns *os.File) (*os.File, error) {
	fd, err := unix.IoctlRetInt(int(ns.Fd()), unix.NS_GET_USERNS)
	if err != nil {
		return nil, &os.PathError{Op: "ioctl NS_GET_USERNS", Path: ns.Name(), Err: err}
	}
	return os.NewFile(uintptr(fd), "the user namespace of "+ns.Name()), nil
}

// mountNSInfo is struct mnt_ns_info (include/uapi/linux/nsfs.h).
type mountNSInfo struct {
	size, mounts uint32
	id           uint64
}

// The requests of ioctl_nsfs(2) for mount namespaces, as most architectures number
// them; where another does, they are unknown. Linux 6.12.
const (
	mountNSSelf = 0x8010b70a // NS_MNT_GET_INFO
	mountNSNext = 0x8010b70b // NS_MNT_GET_NEXT: the one that was made after it
	mountNSPrev = 0x8010b70c // NS_MNT_GET_PREV
)

// countMounts returns the number of mounts in the mount namespace.
func countMounts(ns *os.File) (uint32, error) {
	_, count, err := askMountNS(ns, mountNSSelf)
	return count, err
}

// besideMountNS opens the mount namespace on one side of ns, in the order in which
// they were made, and returns the number of mounts in it.
func besideMountNS(ns *os.File, side uintptr) (*os.File, uint32, error) {
	fd, count, err := askMountNS(ns, side)
	if err != nil {
		return nil, 0, err
	}
	return os.NewFile(fd, "a mount namespace"), count, nil
}

func askMountNS(ns *os.File, request uintptr) (fd uintptr, count uint32, err error) {
	info := mountNSInfo{size: uint32(unsafe.Sizeof(mountNSInfo{}))}
	fd, _, errno := unix.Syscall(unix.SYS_IOCTL, ns.Fd(), request, uintptr(unsafe.Pointer(&info)))
	if errno != 0 {
		return 0, 0, os.NewSyscallError("ioctl", errno)
	}
	return fd, info.mounts, nil
}
