package bpf

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// nameSize is the size of the kernel's own name of a map, with its final zero
// byte (BPF_OBJ_NAME_LEN).
const nameSize = 16

// The parts of union bpf_attr that are used, each up to its last field that can
// be other than zero (include/uapi/linux/bpf.h).
type (
	mapCreateAttr struct {
		mapType, keySize, valueSize, maxEntries, flags uint32
		innerFD, numaNode                              uint32
		name                                           [nameSize]byte
	}
	objAttr struct {
		path  uint64
		fd    uint32
		flags uint32
	}
	objAtAttr struct { // with BPF_F_PATH_FD
		path  uint64
		fd    uint32
		flags uint32
		dir   int32
	}
	mapFDAttr struct {
		fd uint32
	}
	infoAttr struct {
		fd, size uint32
		info     uint64
	}
	mapInfo struct { // the beginning of struct bpf_map_info
		mapType, id uint32
	}
)

func bpf[A any](cmd int, attr *A) (int, error) {
	r, _, errno := unix.Syscall(unix.SYS_BPF, uintptr(cmd), uintptr(unsafe.Pointer(attr)), unsafe.Sizeof(*attr))
	if errno != 0 {
		return -1, errno
	}
	return int(r), nil
}

// CreateMap creates a map that is gone when its file is closed and it was not
// pinned.
func CreateMap(a MapAttr) (*os.File, error) {
	attr := mapCreateAttr{
		mapType: a.Type, keySize: a.KeySize, valueSize: a.ValueSize, maxEntries: a.MaxEntries, flags: a.Flags,
	}
	if a.Inner != nil {
		attr.innerFD = uint32(a.Inner.Fd())
	}
	copy(attr.name[:MaxName], a.Name)
	fd, err := bpf(unix.BPF_MAP_CREATE, &attr)
	if errors.Is(err, unix.EPERM) && raiseMemlock() == nil {
		fd, err = bpf(unix.BPF_MAP_CREATE, &attr)
	}
	if err != nil {
		return nil, os.NewSyscallError("bpf", err)
	}
	return os.NewFile(uintptr(fd), a.Name), nil
}

// raiseMemlock lifts the limit to which kernels before 5.11 count maps.
func raiseMemlock() error {
	unlimited := unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}
	return unix.Setrlimit(unix.RLIMIT_MEMLOCK, &unlimited)
}

// Freeze keeps user space from changing the map.
func Freeze(m *os.File) error {
	_, err := bpf(unix.BPF_MAP_FREEZE, &mapFDAttr{fd: uint32(m.Fd())})
	return os.NewSyscallError("bpf", err)
}

// ID returns the kernel's ID of the open map, which no other map gets before the next
// boot (Linux 4.13).
func ID(m *os.File) (uint32, error) {
	var info mapInfo
	attr := infoAttr{fd: uint32(m.Fd()), size: uint32(unsafe.Sizeof(info)), info: uint64(uintptr(unsafe.Pointer(&info)))}
	_, err := bpf(unix.BPF_OBJ_GET_INFO_BY_FD, &attr)
	runtime.KeepAlive(&info)
	return info.id, os.NewSyscallError("bpf", err)
}

// Pin pins the object at path, where nothing may be.
func Pin(f *os.File, path string) error {
	_, err := obj(unix.BPF_OBJ_PIN, path, uint32(f.Fd()), 0)
	return err
}

// PinAt pins the object under the name in the open directory of a bpffs, which can
// be one that is not attached to a path. Before Linux 6.5, which brought BPF_F_PATH_FD, it
// needs /proc.
func PinAt(f, dir *os.File, name string) error {
	attr := objAtAttr{fd: uint32(f.Fd()), flags: unix.BPF_F_PATH_FD, dir: int32(dir.Fd())}
	text, err := unix.BytePtrFromString(name)
	if err == nil {
		attr.path = uint64(uintptr(unsafe.Pointer(text)))
		_, err = bpf(unix.BPF_OBJ_PIN, &attr)
		runtime.KeepAlive(text)
	}
	if errors.Is(err, unix.EINVAL) {
		err = Pin(f, fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), name))
	}
	if err != nil {
		return fmt.Errorf("pinning %s in %s: %w", name, dir.Name(), err)
	}
	return nil
}

// Open opens the object that is pinned at path. ENOENT means that nothing is there;
// EACCES that what is there is none, or that somebody refuses.
func Open(path string) (*os.File, error) { return open(path, 0) }

// OpenToRead opens the map that is pinned at path, if only for reading, as it can be
// in a read-only bpffs (Linux 4.15).
func OpenToRead(path string) (*os.File, error) { return open(path, unix.BPF_F_RDONLY) }

func open(path string, flags uint32) (*os.File, error) {
	fd, err := obj(unix.BPF_OBJ_GET, path, 0, flags)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), path), nil
}

func obj(cmd int, path string, fd, flags uint32) (int, error) {
	name, err := unix.BytePtrFromString(path)
	if err != nil {
		return -1, &os.PathError{Op: "bpf", Path: path, Err: err}
	}
	got, err := bpf(cmd, &objAttr{path: uint64(uintptr(unsafe.Pointer(name))), fd: fd, flags: flags})
	runtime.KeepAlive(name)
	if err != nil {
		return -1, &os.PathError{Op: "bpf", Path: path, Err: err}
	}
	return got, nil
}
