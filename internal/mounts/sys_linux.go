package mounts

import (
	"bytes"
	"encoding/binary"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mount describes one mount as statmount(2) does.
type mount struct {
	id, parent uint64
	point      string
	Layer
}

// uniqueID returns the ID of the visible mount that holds path, and whether path
// is its mount point. ENOSYS before Linux 6.8, which brought unique IDs.
func uniqueID(path string) (id uint64, isPoint bool, err error) {
	var st unix.Statx_t
	err = unix.Statx(unix.AT_FDCWD, path, unix.AT_STATX_DONT_SYNC, unix.STATX_MNT_ID_UNIQUE, &st)
	if err == nil && st.Attributes_mask&^st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0 {
		return 0, false, nil // Linux 5.8 can say that much
	}
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
	statmountMask = 0x01 | 0x02 | 0x08 | 0x10 | 0x20 // SB_BASIC, MNT_BASIC, MNT_ROOT, MNT_POINT, FS_TYPE

	statmountMajor    = 16
	statmountMinor    = 20
	statmountFSType   = 36
	statmountID       = 40
	statmountParent   = 48
	statmountRoot     = 104
	statmountPoint    = 108
	statmountStrings  = 512
	statmountFirstTry = 4096
)

// statmount describes the mount id. ENOSYS before Linux 6.8.
func statmount(id uint64) (mount, error) {
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
			return mount{}, os.NewSyscallError("statmount", errno)
		}
		return parseStatmount(buf), nil
	}
}

func parseStatmount(buf []byte) mount {
	str := func(at int) string {
		s := buf[statmountStrings+binary.NativeEndian.Uint32(buf[at:]):]
		return string(s[:bytes.IndexByte(s, 0)])
	}
	return mount{
		id:     binary.NativeEndian.Uint64(buf[statmountID:]),
		parent: binary.NativeEndian.Uint64(buf[statmountParent:]),
		point:  str(statmountPoint),
		Layer: Layer{
			FSType: str(statmountFSType), Root: str(statmountRoot),
			Device: unix.Mkdev(binary.NativeEndian.Uint32(buf[statmountMajor:]), binary.NativeEndian.Uint32(buf[statmountMinor:])),
		},
	}
}

func device(major, minor int) uint64 { return unix.Mkdev(uint32(major), uint32(minor)) }

// The kinds of IDs that a mount has: unique since Linux 6.8, and that of the mount
// table, which statx(2) tells since Linux 5.8.
const (
	uniqueIDs = unix.STATX_MNT_ID_UNIQUE
	tableIDs  = unix.STATX_MNT_ID
)

// idOf returns the ID, of one of these kinds, of the mount that holds the open file.
// 0 if the kernel is older than that.
func idOf(f *os.File, kind int) (uint64, error) {
	var st unix.Statx_t
	err := unix.Statx(int(f.Fd()), "", unix.AT_EMPTY_PATH|unix.AT_STATX_DONT_SYNC, kind, &st)
	if err != nil {
		return 0, &os.PathError{Op: "statx", Path: f.Name(), Err: err}
	}
	if int(st.Mask)&kind == 0 {
		return 0, nil
	}
	return st.Mnt_id, nil
}

// OpenDir opens the directory at an absolute path on the way to which there is no
// symbolic link: ELOOP if there is one (openat2(2), Linux 5.6).
func OpenDir(path string) (*os.File, error) {
	fd, err := unix.Openat2(unix.AT_FDCWD, path, &unix.OpenHow{
		Flags: unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_SYMLINKS,
	})
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

// openPath opens path only as a place, which needs no permission on it.
func openPath(path string) (int, error) {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return fd, nil
}
