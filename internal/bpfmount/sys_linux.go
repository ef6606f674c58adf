package bpfmount

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// Open opens the context of a new bpffs of this process's user namespace.
func Open() (context *os.File, err error) {
	fd, err := unix.Fsopen(Type, unix.FSOPEN_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("fsopen", err)
	}
	return os.NewFile(uintptr(fd), "a new bpffs"), nil
}

// Set sets an option of the file system that is to be made of the context.
func Set(context *os.File, key, value string) error {
	if err := unix.FsconfigSetString(int(context.Fd()), key, value); err != nil {
		return fmt.Errorf("the option %s=%s of %s: %w", key, value, context.Name(), os.NewSyscallError("fsconfig", err))
	}
	return nil
}

// KeepsSource reports whether mount tables show what the source of a bpffs is: since
// Linux 5.17, and in updates of 5.15. Before, all have the source "none".
func KeepsSource() (bool, error) {
	context, err := Open()
	if err != nil {
		return false, err
	}
	defer context.Close()
	const source = "source"
	if err := Set(context, source, "one"); err != nil {
		return false, err
	}
	err = Set(context, source, "two") // refused where the first was taken
	if errors.Is(err, unix.EINVAL) {
		return true, nil
	}
	return false, err
}

// create makes the file system of the context and mounts it.
func create(context *os.File) (root *os.File, err error) {
	if err := unix.FsconfigCreate(int(context.Fd())); err != nil {
		return nil, os.NewSyscallError("fsconfig", err)
	}
	const attributes = unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC
	fd, err := unix.Fsmount(int(context.Fd()), unix.FSMOUNT_CLOEXEC, attributes)
	if err != nil {
		return nil, os.NewSyscallError("fsmount", err)
	}
	return os.NewFile(uintptr(fd), context.Name()), nil
}

// setMode gives the root of a new bpffs the rights, if it does not have them.
func setMode(root *os.File, mode fs.FileMode) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(root.Fd()), &st); err != nil {
		return os.NewSyscallError("fstat", err)
	}
	if fs.FileMode(st.Mode).Perm() == mode.Perm() {
		return nil
	}
	return os.NewSyscallError("fchmodat", unix.Fchmodat(int(root.Fd()), ".", uint32(mode.Perm()), 0))
}

// Attach attaches the mount with the root to the open directory, whatever the path of
// that leads to by now. EBADF where both are nil and move_mount(2) may be called.
func Attach(root, dir *os.File) error {
	const empty = unix.MOVE_MOUNT_F_EMPTY_PATH | unix.MOVE_MOUNT_T_EMPTY_PATH
	return os.NewSyscallError("move_mount", unix.MoveMount(int(root.Fd()), "", int(dir.Fd()), "", empty))
}
