package inventory

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// nsfsMagic is the type of the file system that namespaces are files of
// (include/uapi/linux/magic.h).
const nsfsMagic = 0x6e736673

// Whether there is a network namespace at a path.
const (
	NetNSUnknown = iota // no path is recorded, or it cannot be looked at
	NetNSExists
	NetNSIsGone
)

// NetNSState says whether there is a network namespace at path. A file that
// nothing is mounted on any more is none. If not even the directory is there, this
// process may see another /run than the runtime, as in a container: unknown.
func NetNSState(path string) int {
	if path == "" {
		return NetNSUnknown
	}
	var st syscall.Statfs_t
	err := syscall.Statfs(path, &st)
	switch {
	case err == nil && int64(st.Type) == nsfsMagic:
		return NetNSExists
	case err == nil, errors.Is(err, fs.ErrNotExist) && (isOfProcess(path) || isDir(filepath.Dir(path))):
		return NetNSIsGone
	}
	return NetNSUnknown
}

// isOfProcess reports whether the path is that of a process's namespace, whose
// directory goes with the process.
func isOfProcess(path string) bool {
	return strings.HasPrefix(path, "/proc/") && isDir("/proc/self")
}

func isDir(path string) bool {
	fi, err := os.Stat(path)
	return err == nil && fi.IsDir()
}
