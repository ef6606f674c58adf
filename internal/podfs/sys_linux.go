package podfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// reconfigure sets a flag of the file system.
func reconfigure(context *os.File, flag string) error {
	err := unix.FsconfigSetFlag(int(context.Fd()), flag)
	if err == nil {
		err = unix.FsconfigReconfigure(int(context.Fd()))
	}
	if err != nil {
		return fmt.Errorf("making %s %s: %w", context.Name(), flag, os.NewSyscallError("fsconfig", err))
	}
	return nil
}

// makeWritable undoes [FS.Seal] and [FS.SetReadOnly] on the file system with the open
// root, which must be a bpffs.
func makeWritable(root *os.File) error {
	st, err := statfs(root)
	if err != nil {
		return err
	}
	if uint32(st.Type) != unix.BPF_FS_MAGIC {
		return fmt.Errorf("%s is recorded as a bpffs, but is not one", root.Name())
	}
	if err := seal(root, false); err != nil {
		return err
	}
	if st, err = statfs(root); err != nil || st.Flags&unix.ST_RDONLY == 0 {
		return err
	}
	fd, err := unix.Fspick(int(root.Fd()), "", unix.FSPICK_EMPTY_PATH|unix.FSPICK_CLOEXEC)
	if err != nil {
		return &os.PathError{Op: "fspick", Path: root.Name(), Err: err}
	}
	context := os.NewFile(uintptr(fd), root.Name())
	defer context.Close()
	return reconfigure(context, "rw")
}

func statfs(root *os.File) (st unix.Statfs_t, err error) {
	if err = unix.Fstatfs(int(root.Fd()), &st); err != nil {
		err = &os.PathError{Op: "fstatfs", Path: root.Name(), Err: err}
	}
	return st, err
}

// seal makes the mount whose root is open read-only, or undoes that. Before Linux
// 5.12, which brought mount_setattr(2), it does nothing.
func seal(root *os.File, on bool) error {
	attributes := unix.MountAttr{Attr_clr: unix.MOUNT_ATTR_RDONLY}
	if on {
		attributes.Attr_set = unix.MOUNT_ATTR_RDONLY
	}
	err := unix.MountSetattr(int(root.Fd()), "", unix.AT_EMPTY_PATH, &attributes)
	if err != nil && !errors.Is(err, unix.ENOSYS) {
		return &os.PathError{Op: "mount_setattr", Path: root.Name(), Err: err}
	}
	return nil
}

// detach unmounts the mount whose root is open.
func detach(root *os.File) error {
	if err := unix.Unmount(fmt.Sprintf("/proc/self/fd/%d", root.Fd()), unix.MNT_DETACH); err != nil {
		return &os.PathError{Op: "umount", Path: root.Name(), Err: err}
	}
	return nil
}

// exists reports why nothing can be opened at the path.
func exists(path string) error {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: path, Err: err}
	}
	return unix.Close(fd)
}

// openDirAt opens the directory name in dir: EXDEV if something is mounted there
// (openat2(2), Linux 5.6).
func openDirAt(dir *os.File, name string) (*os.File, error) {
	path := filepath.Join(dir.Name(), name)
	fd, err := unix.Openat2(int(dir.Fd()), name, &unix.OpenHow{
		Flags: unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_XDEV,
	})
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

func mkdirAt(dir *os.File, name string) error {
	if err := unix.Mkdirat(int(dir.Fd()), name, 0o755); err != nil {
		return &os.PathError{Op: "mkdir", Path: filepath.Join(dir.Name(), name), Err: err}
	}
	return nil
}

func chmodAt(dir *os.File, name string, mode fs.FileMode) error {
	if err := unix.Fchmodat(int(dir.Fd()), name, uint32(mode.Perm()), 0); err != nil {
		return &os.PathError{Op: "chmod", Path: filepath.Join(dir.Name(), name), Err: err}
	}
	return nil
}

func unlinkAt(dir *os.File, name string) error {
	return unix.Unlinkat(int(dir.Fd()), name, 0)
}

func rmdirAt(dir *os.File, name string) error {
	return unix.Unlinkat(int(dir.Fd()), name, unix.AT_REMOVEDIR)
}

func device(m *mountinfo.Info) uint64 { return unix.Mkdev(uint32(m.Major), uint32(m.Minor)) }
