package bpffs

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mountAt describes one mount as statmount(2) does.
type mountAt struct {
	id, parent uint64
	point      string
	layer
}

// uniqueMountID returns the ID of the visible mount that holds path, and whether
// path is its mount point. ENOSYS before Linux 6.8, which brought unique IDs.
func uniqueMountID(path string) (id uint64, isPoint bool, err error) {
	var st unix.Statx_t
	err = unix.Statx(unix.AT_FDCWD, path, unix.AT_STATX_DONT_SYNC, unix.STATX_MNT_ID_UNIQUE, &st)
	if err == nil && st.Mask&unix.STATX_MNT_ID_UNIQUE == 0 {
		err = unix.ENOSYS
	}
	if err != nil {
		return 0, false, &os.PathError{Op: "statx", Path: path, Err: err}
	}
	return st.Mnt_id, st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0, nil
}

// The parts of statmount(2) that are asked for, and where the answer keeps them
// (include/uapi/linux/mount.h, Linux 6.8).
const (
	statmountMask = 0x02 | 0x08 | 0x10 | 0x20 // MNT_BASIC, MNT_ROOT, MNT_POINT, FS_TYPE

	statmountFSType   = 36
	statmountID       = 40
	statmountParent   = 48
	statmountRoot     = 104
	statmountPoint    = 108
	statmountStrings  = 512
	statmountFirstTry = 4096
)

// statmount describes the mount id. ENOSYS before Linux 6.8.
func statmount(id uint64) (mountAt, error) {
	req := struct {
		size, spare uint32
		id, param   uint64
	}{24, 0, id, statmountMask}
	for buf := make([]byte, statmountFirstTry); ; buf = make([]byte, 4*len(buf)) {
		_, _, errno := unix.Syscall6(unix.SYS_STATMOUNT, uintptr(unsafe.Pointer(&req)),
			uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)), 0, 0, 0)
		if errno == unix.EOVERFLOW {
			continue
		}
		if errno != 0 {
			return mountAt{}, os.NewSyscallError("statmount", errno)
		}
		return parseStatmount(buf), nil
	}
}

func parseStatmount(buf []byte) mountAt {
	str := func(at int) string {
		s := buf[statmountStrings+binary.NativeEndian.Uint32(buf[at:]):]
		return string(s[:bytes.IndexByte(s, 0)])
	}
	return mountAt{
		id:     binary.NativeEndian.Uint64(buf[statmountID:]),
		parent: binary.NativeEndian.Uint64(buf[statmountParent:]),
		point:  str(statmountPoint),
		layer:  layer{fsType: str(statmountFSType), root: str(statmountRoot)},
	}
}

// mountBPF mounts a new bpffs at path, for its owner only.
func mountBPF(path string) error {
	const flags = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	if err := unix.Mount("bpf", path, fsType, flags, "mode=0700"); err != nil {
		return &os.PathError{Op: "mount", Path: path, Err: err}
	}
	return nil
}

// isBPF reports whether path lies on a bpffs.
func isBPF(path string) (bool, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return false, &os.PathError{Op: "statfs", Path: path, Err: err}
	}
	return uint32(st.Type) == unix.BPF_FS_MAGIC, nil
}

// isBPFFile reports whether the open file f lies on a bpffs.
func isBPFFile(f *os.File) (bool, error) {
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &st); err != nil {
		return false, &os.PathError{Op: "fstatfs", Path: f.Name(), Err: err}
	}
	return uint32(st.Type) == unix.BPF_FS_MAGIC, nil
}

// checkWritable reports why this process cannot write to the directory path:
// EROFS for one that is mounted read-only.
func checkWritable(path string) error {
	if err := unix.Access(path, unix.W_OK); err != nil {
		return &os.PathError{Op: "access", Path: path, Err: err}
	}
	return nil
}

// canMountBPF reports why this process could not mount a bpffs, without mounting
// one: it only opens the file system type. Before Linux 5.2, which brought
// fsopen(2), it knows nothing and reports nothing.
func canMountBPF() error {
	fd, err := unix.Fsopen(fsType, unix.FSOPEN_CLOEXEC)
	if errors.Is(err, unix.ENOSYS) {
		return nil
	}
	if err != nil {
		return os.NewSyscallError("fsopen", err)
	}
	return unix.Close(fd)
}

// tryFlock locks the open file f exclusively; EWOULDBLOCK if another has it.
func tryFlock(f *os.File) error {
	return flock(f, unix.LOCK_EX|unix.LOCK_NB)
}

// waitFlock locks the open file f exclusively, for as long as that takes.
func waitFlock(f *os.File) error {
	return flock(f, unix.LOCK_EX)
}

func flock(f *os.File, how int) error {
	for {
		err := unix.Flock(int(f.Fd()), how)
		if err == nil {
			return nil
		}
		if !errors.Is(err, unix.EINTR) {
			return &os.PathError{Op: "flock", Path: f.Name(), Err: err}
		}
	}
}

// openPath opens path only as a place, which needs no permission on it.
func openPath(path string) (*os.File, error) {
	return os.OpenFile(path, unix.O_PATH|unix.O_CLOEXEC, 0)
}

// mkdirAt makes the directory name below the directory fd.
func mkdirAt(fd int, name string, mode uint32) error {
	return unix.Mkdirat(fd, name, mode)
}

// rmdirAt removes the empty directory name below the directory fd.
func rmdirAt(fd int, name string) error {
	return unix.Unlinkat(fd, name, unix.AT_REMOVEDIR)
}

// unlinkAt removes what is at name below the directory fd and no directory.
func unlinkAt(fd int, name string) error {
	return unix.Unlinkat(fd, name, 0)
}

// symlinkAt makes the symbolic link name below the directory fd.
func symlinkAt(target string, fd int, name string) error {
	return unix.Symlinkat(target, fd, name)
}

// readlinkAt returns the target of the symbolic link name below the directory fd.
func readlinkAt(fd int, name string) (string, error) {
	buf := make([]byte, maxPath)
	n, err := unix.Readlinkat(fd, name, buf)
	if err != nil {
		return "", err
	}
	return string(buf[:n]), nil
}

// renameAt renames what is at from to to, both below the directory fd.
func renameAt(fd int, from, to string) error {
	return unix.Renameat(fd, from, fd, to)
}

// fileStat describes a file.
type fileStat struct {
	mode    fs.FileMode // of the types only directory and symbolic link
	owner   uint32      // the user
	links   uint64
	changed time.Time // what is in it
}

// statAt describes what is at name below the directory fd, links not followed.
func statAt(fd int, name string) (fileStat, error) {
	var st unix.Stat_t
	err := unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW)
	mode := fs.FileMode(st.Mode & 0o777)
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		mode |= fs.ModeDir
	case unix.S_IFLNK:
		mode |= fs.ModeSymlink
	}
	if st.Mode&unix.S_ISVTX != 0 {
		mode |= fs.ModeSticky
	}
	return fileStat{mode, st.Uid, uint64(st.Nlink), time.Unix(st.Mtim.Unix())}, err
}

// openDirPath opens the directory path for reading.
func openDirPath(path string) (int, error) {
	return unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
}

// openDirAt opens the directory name below the directory fd for reading.
func openDirAt(fd int, name string) (int, error) {
	return unix.Openat(fd, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
}
