package cri

import (
	"fmt"
	"io/fs"
	"os"
)

// SameNamespace reports whether the runtime is in this mount namespace. The error
// says that this is not known.
func (r Runtime) SameNamespace() (bool, error) {
	here, err := os.Stat("/proc/self/ns/mnt")
	if err != nil {
		return false, err
	}
	there, err := os.Stat(fmt.Sprintf("/proc/%d/ns/mnt", r.PID)) // none has the number 0
	return err == nil && os.SameFile(here, there), err
}

// Stat returns what the runtime finds at an absolute path, in its own mount
// namespace and below its own root. Of a runtime whose process is not known that
// is an error, which is not [fs.ErrNotExist].
func (r Runtime) Stat(path string) (fs.FileInfo, error) {
	if r.PID == 0 {
		return nil, fmt.Errorf("what the runtime finds at %s: its process is unknown", path)
	}
	root, err := os.Open(fmt.Sprintf("/proc/%d/root", r.PID))
	if err != nil {
		return nil, fmt.Errorf("what the runtime finds at %s: %v", path, err) //nolint:errorlint // it is not about the path
	}
	defer root.Close()
	f, err := openBelow(root, path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Stat()
}
