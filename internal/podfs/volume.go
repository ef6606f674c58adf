package podfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/cni-bpffs/cni-bpffs/internal/mounts"
	"github.com/cni-bpffs/cni-bpffs/internal/owned"
)

// kubelet keeps an emptyDir, on the disk or in memory, at
// <root>/pods/<pod UID>/volumes/kubernetes.io~empty-dir/<volume>
// (k8s.io/kubernetes/pkg/volume/emptydir).
const (
	podsDir    = "pods"
	volumesDir = "volumes/kubernetes.io~empty-dir"
)

// OpenVolume opens the directory of a pod's emptyDir, below the root directory of
// kubelet. [fs.ErrNotExist] if the pod has none of that name: that is all a pod
// without one costs. The path may have symbolic links down to kubelet's directory, and
// none below: [owned.ErrUnsafe] if another user can change where it leads.
func OpenVolume(kubeletDir, podUID, volume string) (*os.File, error) {
	below := filepath.Join(podsDir, podUID, volumesDir, volume)
	if err := exists(filepath.Join(kubeletDir, below)); err != nil {
		return nil, err
	}
	kubelet, err := safeWay(kubeletDir)
	if err != nil {
		return nil, fmt.Errorf("resolving the directory of kubelet: %w", err)
	}
	path := filepath.Join(kubelet, below)
	if _, err := safeWay(path); err != nil {
		return nil, err
	}
	dir, err := mounts.OpenDir(path)
	if errors.Is(err, syscall.ELOOP) {
		return nil, fmt.Errorf("%w: there is a symbolic link on the way, and kubelet makes none", err)
	}
	return dir, err
}

// safeWay returns where the path leads: [owned.ErrUnsafe] if another user can change
// that.
func safeWay(path string) (string, error) {
	way, err := owned.Follow(path)
	if err == nil {
		err = way.Unsafe
	}
	return way.Path, err
}

// MakeDir opens the directory name in dir, and makes it if it is missing, for
// everybody to read. [ErrOccupied] if a file or a symbolic link is there, or something
// is mounted there.
func MakeDir(dir *os.File, name string) (*os.File, error) {
	made := mkdirAt(dir, name)
	if made != nil && !errors.Is(made, fs.ErrExist) {
		return nil, made
	}
	at, err := openDirAt(dir, name)
	switch path := filepath.Join(dir.Name(), name); {
	case errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.ELOOP):
		return nil, fmt.Errorf("%s: %w: it is not a directory: remove it", path, ErrOccupied)
	case errors.Is(err, syscall.EXDEV):
		return nil, fmt.Errorf("%s: %w: something is mounted there: umount %[1]s", path, ErrOccupied)
	case err != nil || made != nil:
		return at, err
	}
	if err := at.Chmod(0o755); err != nil { // whatever the umask
		return nil, errors.Join(err, at.Close())
	}
	return at, nil
}
