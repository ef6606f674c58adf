package bpffs

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/cni-bpffs/cni-bpffs/internal/flock"
	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// A lock on a directory that is no longer at the path excludes nobody.
func TestLockOfAReplacedDirectory(t *testing.T) {
	testns.Need(t)
	dir := filepath.Join(t.TempDir(), "dir")
	mkdir(t, dir)
	var unlock func()
	err := whileLocked(t, "hold lock", dir, func() (err error) {
		_, unlock, err = flock.Dir(t.Context(), dir)
		return err
	}, func() {
		moveAway(t, dir)
		mkdir(t, dir)
	})
	if err != nil {
		t.Fatalf("lockDir of a directory that was replaced: %v", err)
	}
	defer unlock()
	f, err := os.Open(dir)
	testns.Must(t, err)
	defer f.Close()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); !errors.Is(err, syscall.EWOULDBLOCK) {
		t.Errorf("locking the new directory a second time: %v; want %v", err, syscall.EWOULDBLOCK)
	}
}
