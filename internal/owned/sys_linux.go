package owned

import (
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const maxPath = 4096 // PATH_MAX of Linux

// A Stat describes a file.
type Stat struct {
	Mode      fs.FileMode // of the types only directory and symbolic link
	Owner     uint32      // the user
	Links     uint64
	Changed   time.Time // what is in it
	Inode     uint64
	Device    uint64 // of the file system
	MountRoot bool   // something is mounted on it; never before Linux 5.8
}

// statAt describes what is at name below the directory fd, links not followed.
func statAt(fd int, name string) (Stat, error) {
	var st unix.Statx_t
	err := unix.Statx(fd, name, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT, unix.STATX_BASIC_STATS, &st)
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
	return Stat{
		Mode: mode, Owner: st.Uid, Links: uint64(st.Nlink), Changed: time.Unix(st.Mtime.Sec, int64(st.Mtime.Nsec)),
		Inode: st.Ino, Device: unix.Mkdev(st.Dev_major, st.Dev_minor),
		MountRoot: st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0,
	}, err
}

// statPath describes what is at path, links in it followed but for the last.
func statPath(path string) (Stat, error) {
	st, err := statAt(unix.AT_FDCWD, path)
	if err != nil {
		return st, &os.PathError{Op: "statx", Path: path, Err: err}
	}
	return st, nil
}

// here stands for the directory that relative paths begin at.
const here = unix.AT_FDCWD

// statCovered describes what is at name in the directory path, which begins at fd,
// below whatever is mounted there. Needs CAP_SYS_ADMIN.
func statCovered(fd int, path, name string) (Stat, error) {
	const flags = unix.OPEN_TREE_CLONE | unix.OPEN_TREE_CLOEXEC // a mount of its own, without those below
	tree, err := unix.OpenTree(fd, path, flags)
	if err != nil {
		return Stat{}, &os.PathError{Op: "open_tree", Path: path, Err: err}
	}
	defer unix.Close(tree) //nolint:errcheck // it was only read
	st, err := statAt(tree, name)
	if err != nil {
		return st, &os.PathError{Op: "statx", Path: path + "/" + name, Err: err}
	}
	return st, nil
}

// IsBPF reports whether the directory lies on a bpffs.
func (d *Dir) IsBPF() (bool, error) {
	var st unix.Statfs_t
	if err := unix.Fstatfs(d.fd, &st); err != nil {
		return false, &os.PathError{Op: "fstatfs", Path: d.f.Name(), Err: err}
	}
	return uint32(st.Type) == unix.BPF_FS_MAGIC, nil
}

// IsProc reports whether path lies on a procfs.
func IsProc(path string) (bool, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return false, &os.PathError{Op: "statfs", Path: path, Err: err}
	}
	return st.Type == unix.PROC_SUPER_MAGIC, nil
}

// CheckWritable reports why this process cannot write to the directory: EROFS for
// one that is mounted read-only.
func (d *Dir) CheckWritable() error {
	return d.wrap("access", ".", unix.Faccessat(d.fd, ".", unix.W_OK, 0))
}

// openDirPath opens the directory path for reading.
func openDirPath(path string) (int, error) {
	return unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
}

// openDirAt opens the directory name below the directory fd for reading.
func openDirAt(fd int, name string) (int, error) {
	return unix.Openat(fd, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
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

// moveAt moves what is at from below one directory to the name to below another,
// where nothing may be.
func moveAt(fromFD int, from string, toFD int, to string) error {
	return unix.Renameat2(fromFD, from, toFD, to, unix.RENAME_NOREPLACE)
}
