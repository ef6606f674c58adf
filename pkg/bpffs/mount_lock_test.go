package bpffs

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

func TestMountByManyProcesses(t *testing.T) {
	testns.Need(t)
	root := filepath.Join(t.TempDir(), "root")
	testns.UnmountAll(t, root)
	counts, many := make(map[string]int), crowdSize()
	for i, m := range testns.Crowd(t, many, "mount", func(int) []string { return []string{envRoot + "=" + root} }) {
		if m.Err != nil {
			t.Errorf("process %d: %v: %s", i, m.Err, m.Stderr)
		}
		counts[m.Stdout]++
	}
	if diff := cmp.Diff(map[string]int{root + " true": 1, root + " false": many - 1}, counts); diff != "" {
		t.Errorf("what %d processes mounted (-want +got):\n%s", many, diff)
	}
	expectLayers(t, root, "bpf")
}

func TestMountLocked(t *testing.T) {
	testns.Need(t)
	root := t.TempDir()
	testns.UnmountAll(t, root)
	kill := testns.Start(t, "hold lock", envRoot+"="+root)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if m, err := Mount(ctx, Roots{Root: root}); !errors.Is(err, ErrLocked) {
		t.Errorf("Mount while another process has the lock = %+v, %v; want %v", m, err, ErrLocked)
	}
	time.AfterFunc(50*time.Millisecond, kill)
	if m, err := Mount(t.Context(), Roots{Root: root}); err != nil || !m.New {
		t.Errorf("Mount after the holder was killed = %+v, %v; want it mounted", m, err)
	}
}

// What is mounted is used without any lock.
func TestMountNeedsNoLockWhereMounted(t *testing.T) {
	root := testns.BPFFS(t)
	testns.Start(t, "hold lock", envRoot+"="+root)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := Mount(ctx, Roots{Root: root}); err != nil {
		t.Errorf("Mount of a mounted root while its directory is locked: %v", err)
	}
}

func TestMountedByAnotherWhileWaiting(t *testing.T) {
	testns.Need(t)
	root := t.TempDir()
	var m MountPoint
	err := whileLocked(t, "hold lock", root, func() (err error) {
		m, err = Mount(t.Context(), Roots{Root: root})
		return err
	}, func() { testns.Mount(t, "bpf", root, "") })
	if want := (MountPoint{Path: root}); err != nil || m != want {
		t.Errorf("Mount while another process mounts = %+v, %v; want %+v", m, err, want)
	}
	expectLayers(t, root, "bpf")
}
