package doctor

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// kernelRelease returns what uname -r prints.
func kernelRelease() (string, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "", os.NewSyscallError("uname", err)
	}
	return unix.ByteSliceToString(u.Release[:]), nil
}

// hasStatmount reports whether the kernel has statmount(2), which refuses to
// answer without an argument.
func hasStatmount() bool {
	_, _, errno := unix.Syscall6(unix.SYS_STATMOUNT, 0, 0, 0, 0, 0, 0)
	return !errors.Is(errno, unix.ENOSYS)
}

// ownerOf returns the user to whom a file belongs.
func ownerOf(fi fs.FileInfo) uint32 {
	st, _ := fi.Sys().(*syscall.Stat_t)
	return st.Uid
}

// createMap creates an array of one element, which is gone when it returns.
func createMap() error {
	attr := struct{ kind, keySize, valueSize, maxEntries uint32 }{unix.BPF_MAP_TYPE_ARRAY, 4, 4, 1}
	fd, _, errno := unix.Syscall(unix.SYS_BPF, unix.BPF_MAP_CREATE, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
	if errno != 0 {
		return os.NewSyscallError("bpf", errno)
	}
	return os.NewSyscallError("close", unix.Close(int(fd)))
}

// An inode is a file as the kernel names it in mountinfo and in /proc/locks.
type inode struct {
	major, minor uint32
	number       uint64
}

func inodeOf(path string) (inode, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return inode{}, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	return inode{unix.Major(uint64(st.Dev)), unix.Minor(uint64(st.Dev)), st.Ino}, nil
}

// oPath opens a path only as a place.
const oPath = unix.O_PATH

// peerOf returns the process that listens at a Unix socket, 0 if it is in a
// process namespace that this one does not see.
func peerOf(socket string) (pid int, err error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return 0, os.NewSyscallError("socket", err)
	}
	f := os.NewFile(uintptr(fd), socket)
	defer f.Close()
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: socket}); err != nil {
		return 0, &os.PathError{Op: "connect", Path: socket, Err: err}
	}
	cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return 0, &os.PathError{Op: "getsockopt", Path: socket, Err: err}
	}
	return int(cred.Pid), nil
}
