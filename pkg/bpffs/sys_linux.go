package bpffs

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// fsType is the name of the BPF file system in mount(2) and in mount tables.
const fsType = "bpf"

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
