package bpffs

import (
	"errors"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// bpfMapName is how long the kernel's own name of a map can be, with its final
// zero byte (BPF_OBJ_NAME_LEN).
const bpfMapName = 16

// The parts of union bpf_attr that are used, each up to its last field that can
// be other than zero (include/uapi/linux/bpf.h).
type (
	mapCreateAttr struct {
		mapType, keySize, valueSize, maxEntries, flags uint32
		innerFD, numaNode                              uint32
		name                                           [bpfMapName]byte
	}
	objAttr struct {
		path  uint64
		fd    uint32
		flags uint32
	}
	mapFDAttr struct {
		fd uint32
	}
)

func bpf[A any](cmd int, attr *A) (int, error) {
	r, _, errno := unix.Syscall(unix.SYS_BPF, uintptr(cmd), uintptr(unsafe.Pointer(attr)), unsafe.Sizeof(*attr))
	if errno != 0 {
		return -1, errno
	}
	return int(r), nil
}

// bpfMapCreate creates a map that is gone when its file is closed and it was not
// pinned. The kernel's name is cut to 15 bytes.
func bpfMapCreate(kernelType uint32, s MapSpec, innerFD int, name string) (*os.File, error) {
	attr := mapCreateAttr{
		mapType: kernelType, keySize: s.KeySize, valueSize: s.ValueSize,
		maxEntries: s.MaxEntries, flags: s.Flags, innerFD: uint32(innerFD),
	}
	copy(attr.name[:bpfMapName-1], name)
	fd, err := bpf(unix.BPF_MAP_CREATE, &attr)
	if errors.Is(err, unix.EPERM) && raiseMemlock() == nil {
		fd, err = bpf(unix.BPF_MAP_CREATE, &attr)
	}
	if err != nil {
		return nil, os.NewSyscallError("bpf", err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// raiseMemlock lifts the limit to which kernels before 5.11 count maps.
func raiseMemlock() error {
	unlimited := unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}
	return unix.Setrlimit(unix.RLIMIT_MEMLOCK, &unlimited)
}

// bpfMapFreeze keeps user space from changing the map.
func bpfMapFreeze(m *os.File) error {
	_, err := bpf(unix.BPF_MAP_FREEZE, &mapFDAttr{fd: uint32(m.Fd())})
	return os.NewSyscallError("bpf", err)
}

// bpfPin pins the map at path, where nothing may be.
func bpfPin(m *os.File, path string) error {
	_, err := bpfObj(unix.BPF_OBJ_PIN, path, uint32(m.Fd()))
	return err
}

// bpfOpen opens the object that is pinned at path.
func bpfOpen(path string) (*os.File, error) {
	fd, err := bpfObj(unix.BPF_OBJ_GET, path, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), path), nil
}

func bpfObj(cmd int, path string, fd uint32) (int, error) {
	name, err := unix.BytePtrFromString(path)
	if err != nil {
		return -1, &os.PathError{Op: "bpf", Path: path, Err: err}
	}
	got, err := bpf(cmd, &objAttr{path: uint64(uintptr(unsafe.Pointer(name))), fd: fd})
	runtime.KeepAlive(name)
	if err != nil {
		return -1, &os.PathError{Op: "bpf", Path: path, Err: err}
	}
	return got, nil
}
