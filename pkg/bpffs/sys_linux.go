package bpffs

import (
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
			unix.Close(fd) //nolint:errcheck // nothing was written to it
			return -1, os.NewSyscallError("fsconfig", err)
		}
	}
	return fd, nil
}

// canMakeBPF reports why this process could not make a bpffs. It makes one that
// nobody sees, and which is gone when it returns.
func canMakeBPF() error {
	fd, err := newBPF()
	if err != nil {
		return err
	}
	return os.NewSyscallError("close", unix.Close(fd))
}

// mountBPF mounts a new bpffs, for its owner only, on the open directory. The
// kernel ignores options of bpffs that it does not know, so what matters is read
// back before anybody sees it.
func mountBPF(dir *os.File) error {
	fd, err := newBPF()
	if err != nil {
		return err
	}
	defer unix.Close(fd) //nolint:errcheck // nothing was written to it
	const attributes = unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC
	mount, err := unix.Fsmount(fd, unix.FSMOUNT_CLOEXEC, attributes)
	if err != nil {
		return os.NewSyscallError("fsmount", err)
	}
	defer unix.Close(mount) //nolint:errcheck // it is only the descriptor of the mount
	var st unix.Stat_t
	if err := unix.Fstat(mount, &st); err != nil {
		return os.NewSyscallError("fstat", err)
	}
	if st.Mode&0o777 != rootMode {
		if err := unix.Fchmodat(mount, ".", rootMode, 0); err != nil {
			return os.NewSyscallError("fchmodat", err)
		}
	}
	const empty = unix.MOVE_MOUNT_F_EMPTY_PATH | unix.MOVE_MOUNT_T_EMPTY_PATH
	return os.NewSyscallError("move_mount", unix.MoveMount(mount, "", int(dir.Fd()), "", empty))
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

// canMakeDir reports why no directory can be made in path: it is mounted read-only,
// or it is a view of the kernel.
func canMakeDir(path string) error {
	if err := unix.Access(path, unix.W_OK); err != nil {
		return &os.PathError{Op: "mkdir", Path: path, Err: err}
	}
	st, err := statfs(path)
	if err != nil {
		return err
	}
	switch uint32(st.Type) {
	case unix.PROC_SUPER_MAGIC, unix.SYSFS_MAGIC, unix.DEBUGFS_MAGIC, unix.TRACEFS_MAGIC:
		return &os.PathError{Op: "mkdir", Path: path, Err: unix.EPERM}
	}
	return nil
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
