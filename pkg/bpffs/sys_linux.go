package bpffs

import (
	"errors"
	"math"
	"os"

	"golang.org/x/sys/unix"
)

// fsType is the name of the BPF file system in mount(2) and in mount tables.
const fsType = "bpf"

// Capabilities that messages name.
const (
	capSysAdmin = unix.CAP_SYS_ADMIN
	capBPF      = unix.CAP_BPF
)

// rootMode are the rights on the root of a new bpffs: for its owner only. The
// kernel's default lets everybody make directories there.
const rootMode = 0o700

// newBPF makes a bpffs that is not mounted yet, and returns its file system
// context (fsopen(2), Linux 5.2).
func newBPF() (fd int, err error) {
	fd, err = unix.Fsopen(fsType, unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, os.NewSyscallError("fsopen", err)
	}
	for _, step := range []func() error{
		func() error { return unix.FsconfigSetString(fd, "source", fsType) },
		func() error { return unix.FsconfigSetString(fd, "mode", "0700") },
		func() error { return unix.FsconfigCreate(fd) },
	} {
		if err := step(); err != nil {
			return -1, errors.Join(os.NewSyscallError("fsconfig", err), unix.Close(fd))
		}
	}
	return fd, nil
}

// canMountBPF reports why this process could not mount a bpffs. It makes one that
// nobody sees, and which is gone when it returns. Where move_mount(2) may be called
// at all, it finds that there is nothing to move.
func canMountBPF() error {
	mount, err := detachedBPF()
	if err != nil {
		return err
	}
	if err := unix.Close(mount); err != nil {
		return os.NewSyscallError("close", err)
	}
	const none = -1
	if err := moveMount(none, none); !errors.Is(err, unix.EBADF) {
		return err
	}
	return nil
}

// mountBPF mounts a new bpffs, for its owner only, on the open directory.
func mountBPF(dir *os.File) error {
	mount, err := detachedBPF()
	if err != nil {
		return err
	}
	defer unix.Close(mount)
	return moveMount(mount, int(dir.Fd()))
}

// detachedBPF returns the root of a new bpffs that is mounted nowhere. The kernel
// ignores options of bpffs that it does not know, so what matters is read back
// before anybody sees it.
func detachedBPF() (mount int, err error) {
	fd, err := newBPF()
	if err != nil {
		return -1, err
	}
	defer unix.Close(fd)
	const attributes = unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC
	mount, err = unix.Fsmount(fd, unix.FSMOUNT_CLOEXEC, attributes)
	if err != nil {
		return -1, os.NewSyscallError("fsmount", err)
	}
	if err := setMode(mount); err != nil {
		return -1, errors.Join(err, unix.Close(mount))
	}
	return mount, nil
}

// setMode gives the root of a new bpffs its mode.
func setMode(root int) error {
	var st unix.Stat_t
	if err := unix.Fstat(root, &st); err != nil {
		return os.NewSyscallError("fstat", err)
	}
	if st.Mode&0o777 == rootMode {
		return nil
	}
	return os.NewSyscallError("fchmodat", unix.Fchmodat(root, ".", rootMode, 0))
}

// moveMount moves a detached mount to the open directory.
func moveMount(mount, dir int) error {
	const empty = unix.MOVE_MOUNT_F_EMPTY_PATH | unix.MOVE_MOUNT_T_EMPTY_PATH
	return os.NewSyscallError("move_mount", unix.MoveMount(mount, "", dir, "", empty))
}

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
