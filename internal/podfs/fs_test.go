package podfs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cni-bpffs/cni-bpffs/internal/bpf"
	"github.com/cni-bpffs/cni-bpffs/internal/mounts"
	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

func TestMain(m *testing.M) {
	os.Exit(testns.Main(m))
}

// attached makes a file system with one map and attaches it at maps in a directory
// of its own.
func attached(t *testing.T, readOnly bool) (id mounts.ID, at string) {
	t.Helper()
	testns.Need(t)
	dir, err := os.Open(t.TempDir())
	testns.Must(t, err)
	defer dir.Close()
	f, err := New()
	if errors.Is(err, ErrUnfindable) {
		t.Skip(err)
	}
	testns.Must(t, err)
	defer f.Close()
	m, err := bpf.CreateMap(bpf.MapAttr{Type: unix.BPF_MAP_TYPE_ARRAY, KeySize: 4, ValueSize: 4, MaxEntries: 1, Name: "one"})
	testns.Must(t, err)
	defer m.Close()
	testns.Must(t, f.Pin(m, "one_", 0o444))
	if readOnly {
		testns.Must(t, f.SetReadOnly())
	}
	testns.Must(t, f.Seal())
	id, err = f.ID()
	testns.Must(t, err)
	testns.Must(t, f.Attach(dir, "maps"))
	at = filepath.Join(dir.Name(), "maps")
	t.Cleanup(func() { _ = syscall.Unmount(at, syscall.MNT_DETACH) })
	return id, at
}

func TestAttachedIsFoundAndCleared(t *testing.T) {
	for _, readOnly := range []bool{false, true} {
		id, at := attached(t, readOnly)
		root, err := id.Find(at)
		testns.Must(t, err)
		testns.Must(t, root.Close())
		pin := filepath.Join(at, "one_")
		m, err := bpf.Open(pin)
		if readOnly != errors.Is(err, unix.EROFS) || !readOnly && err != nil {
			t.Errorf("opening the map of a file system that is read-only (%v) for writing: %v", readOnly, err)
		}
		if err == nil {
			m.Close()
		}
		if fi, err := os.Stat(pin); err != nil || fi.Mode().Perm() != 0o444 {
			t.Errorf("the pin: %v, %v", fi, err)
		}
		for what, err := range map[string]error{
			"unlink": os.Remove(pin), "mkdir": os.Mkdir(filepath.Join(at, "more"), 0o700), "chmod": os.Chmod(pin, 0o666),
			"symlink": os.Symlink("x", filepath.Join(at, "more")), "rename": os.Rename(pin, pin+"x"), "chown": os.Chown(pin, 1, 1),
		} {
			if !errors.Is(err, unix.EROFS) {
				t.Errorf("%s in a sealed file system, read-only %v: %v, want EROFS", what, readOnly, err)
			}
		}
		testns.Must(t, Clear(id, at))
		if _, err := os.Stat(at); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the directory after Clear: %v, want that it is gone", err)
		}
		testns.Must(t, Clear(id, at))
	}
}
