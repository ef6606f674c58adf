package places

import (
	"os"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// An identity tells one directory from another, whatever its path.
type identity struct {
	device, inode uint64
}

func identify(path string) (identity, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return identity{}, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	return identity{st.Dev, st.Ino}, nil
}

// isVisible reports whether its mount point leads to what is mounted.
func isVisible(m *mountinfo.Info) bool {
	id, err := identify(m.Mountpoint)
	return err == nil && id.device == unix.Mkdev(uint32(m.Major), uint32(m.Minor))
}
