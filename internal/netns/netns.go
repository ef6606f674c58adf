// Package netns looks at network namespaces by the paths that runtimes give them.
package netns

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// ErrGone says that there is no network namespace at the path any more.
var ErrGone = errors.New("the network namespace is gone")

// magic is the type of the file system that namespaces are files of
// (include/uapi/linux/magic.h).
const magic = 0x6e736673

// Look returns the file of the namespace at path, for [os.SameFile]. A file that
// nothing is mounted on any more is none: [ErrGone]. After another error it is not
// known whether there is one. If not even the directory is there, this process may
// see another /run than the runtime, as in a container.
func Look(path string) (os.FileInfo, error) {
	var st syscall.Statfs_t
	err := syscall.Statfs(path, &st)
	switch {
	case err == nil && int64(st.Type) == magic:
		return os.Stat(path)
	case err == nil, errors.Is(err, fs.ErrNotExist) && (isOfProcess(path) || isDir(filepath.Dir(path))):
		return nil, fmt.Errorf("%s: %w", path, ErrGone)
	}
	return nil, &os.PathError{Op: "statfs", Path: path, Err: err}
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
