package bpffs

import (
	"math"
	"os"

	"golang.org/x/sys/unix"
)

// Capabilities that messages name.
const (
	capSysAdmin = unix.CAP_SYS_ADMIN
	capBPF      = unix.CAP_BPF
)

// isBPF reports whether path lies on a bpffs.
func isBPF(path string) (bool, error) {
	st, err := statfs(path)
	return uint32(st.Type) == unix.BPF_FS_MAGIC, err
}

// deviceOf returns the number of the file system that path lies on.
func deviceOf(path string) (uint64, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return 0, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	return uint64(st.Dev), nil
}

func statfs(path string) (st unix.Statfs_t, err error) {
	if err := unix.Statfs(path, &st); err != nil {
		return st, &os.PathError{Op: "statfs", Path: path, Err: err}
	}
	return st, nil
}

// canMakeDir reports why no directory for a mount can be made in path: it is mounted
// read-only, or it is a view of the kernel, in which a directory is refused or means
// something.
func canMakeDir(path string) error {
	if err := unix.Access(path, unix.W_OK); err != nil {
		return &os.PathError{Op: "mkdir", Path: path, Err: err}
	}
	st, err := statfs(path)
	if err != nil {
		return err
	}
	for _, view := range kernelViews {
		if uint32(st.Type) == view {
			return &os.PathError{Op: "mkdir", Path: path, Err: unix.EPERM}
		}
	}
	return nil
}

// kernelViews are the types of file systems that show parts of the kernel
// (include/uapi/linux/magic.h).
var kernelViews = [...]uint32{
	unix.PROC_SUPER_MAGIC, unix.SYSFS_MAGIC, unix.DEBUGFS_MAGIC, unix.TRACEFS_MAGIC, unix.SECURITYFS_MAGIC,
	unix.CGROUP_SUPER_MAGIC, unix.CGROUP2_SUPER_MAGIC, unix.RDTGROUP_SUPER_MAGIC, unix.DEVPTS_SUPER_MAGIC,
	unix.BINFMTFS_MAGIC, unix.EFIVARFS_MAGIC, unix.PSTOREFS_MAGIC, unix.SELINUX_MAGIC, unix.SMACK_MAGIC,
	0x19800202, // mqueue
	0x62656570, // configfs
	0x65735543, // fusectl
}

// maxFiles returns how many files this process can have open.
func maxFiles() int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	return int(min(limit.Cur, math.MaxInt32))
}

// totalMemory returns how much memory this node has, in bytes. The kernel refuses to
// take more at once, before it takes any.
func totalMemory() (uint64, error) {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return 0, os.NewSyscallError("sysinfo", err)
	}
	return uint64(info.Totalram) * uint64(info.Unit), nil //nolint:unconvert // it has 32 bits on some architectures
}

// hasCapability reports whether this process has the effective capability.
func hasCapability(capability int) bool {
	var data [2]unix.CapUserData
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	if err := unix.Capget(&header, &data[0]); err != nil {
		return false
	}
	return data[capability/32].Effective&(1<<(capability%32)) != 0
}
