package bpffs

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

func TestCheckEndpoints(t *testing.T) {
	for _, row := range []struct {
		name    string
		prepare func(tb testing.TB, root string)
		want    error
	}{
		{"nothing made yet", func(testing.TB, string) {}, nil},
		{"records", func(tb testing.TB, root string) { tb.Helper(); mkdir(tb, filepath.Join(root, recordsDir, layoutDir)) }, nil},
		{"records without a layout", func(tb testing.TB, root string) {
			tb.Helper()
			mkdir(tb, filepath.Join(root, recordsDir, "layout-2"))
		}, ErrLayout},
		{"root of another user", func(tb testing.TB, root string) { tb.Helper(); testns.Chown(tb, root, stranger) }, ErrUnsafe},
		{"records of another user", strangers(recordsDir), ErrUnsafe},
		{"map directory of another user", strangers(DefaultMapPrefix), ErrUnsafe},
		{"above the map directory", strangers(filepath.Dir(DefaultMapPrefix)), ErrUnsafe},
		{"read-only", readOnly, syscall.EROFS},
	} {
		t.Run(row.name, func(t *testing.T) {
			dir := newMapDir(t)
			row.prepare(t, dir.Root())
			before := snapshot(t, dir.Root())
			if err := CheckEndpoints(t.Context(), dir); !errors.Is(err, row.want) {
				t.Errorf("CheckEndpoints: %v; wanted %v", err, row.want)
			}
			if diff := cmp.Diff(before, snapshot(t, dir.Root())); diff != "" {
				t.Errorf("CheckEndpoints changed something (-before +after):\n%s", diff)
			}
			e, err := CreateEndpoints(t.Context(), dir)
			if !errors.Is(err, row.want) {
				t.Errorf("CreateEndpoints after CheckEndpoints: %v; wanted %v too", err, row.want)
			}
			if err == nil {
				closeRecords(t, e)
			}
		})
	}
}

// strangers returns a preparation that makes a directory of another user.
func strangers(dir string) func(tb testing.TB, root string) {
	return func(tb testing.TB, root string) {
		tb.Helper()
		mkdir(tb, filepath.Join(root, dir))
		testns.Chown(tb, filepath.Join(root, dir), stranger)
	}
}

func readOnly(tb testing.TB, root string) {
	tb.Helper()
	const flags = syscall.MS_REMOUNT | syscall.MS_BIND | syscall.MS_RDONLY
	if err := syscall.Mount("", root, "", flags, ""); err != nil {
		tb.Fatal(err)
	}
}

func TestCheckEndpointsWithoutBPFFS(t *testing.T) {
	testns.Need(t)
	top := t.TempDir()
	for _, root := range []string{top, filepath.Join(top, "missing")} {
		if err := CheckEndpoints(t.Context(), mapDirAt(t, root)); err != nil {
			t.Errorf("CheckEndpoints of %s, where no bpffs is: %v; wanted no error", root, err)
		}
	}
	if entries, err := os.ReadDir(top); err != nil || len(entries) > 0 {
		t.Errorf("CheckEndpoints left %v, %v; wanted nothing", entries, err)
	}
}

func TestCheckEndpointsLocked(t *testing.T) {
	dir := newMapDir(t)
	testns.Start(t, "hold records", envRoot+"="+dir.Root())
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := CheckEndpoints(ctx, dir); !errors.Is(err, ErrLocked) {
		t.Errorf("CheckEndpoints while another process has the records open: %v; wanted %v", err, ErrLocked)
	}
}

func TestCheckEndpointsFull(t *testing.T) {
	e := newEndpoints(t)
	mkdir(t, inRecords(e, endpointsDir))
	for id := 1; id <= MaxEndpoints; id++ {
		if err := os.Mkdir(inRecords(e, endpointsDir, formatID(uint16(id))), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	closeRecords(t, e)
	if err := CheckEndpoints(t.Context(), e.dir); !errors.Is(err, ErrFull) {
		t.Errorf("CheckEndpoints of a full node: %v; wanted %v", err, ErrFull)
	}
	if err := os.Remove(inRecords(e, endpointsDir, formatID(31415))); err != nil {
		t.Fatal(err)
	}
	if err := CheckEndpoints(t.Context(), e.dir); err != nil {
		t.Errorf("CheckEndpoints with one ID left: %v", err)
	}
}
