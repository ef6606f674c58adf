package bpffs

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// mapsOf returns the default map directory beside the records.
func mapsOf(e *Endpoints) MapDir { return MapDir{root: e.Root()} }

// newMapDir returns the default map directory of a new bpffs.
func newMapDir(tb testing.TB) MapDir {
	tb.Helper()
	return mapDirAt(tb, testns.BPFFS(tb))
}

func mapDirAt(tb testing.TB, root string) MapDir {
	tb.Helper()
	dir, err := NewMapDir(root, "")
	testns.Must(tb, err)
	return dir
}

// openRecords makes and opens the records until the test ends.
func openRecords(tb testing.TB, dir MapDir) *Endpoints {
	tb.Helper()
	e, err := CreateEndpoints(tb.Context(), dir.Root())
	testns.Must(tb, err)
	tb.Cleanup(func() { closeRecords(tb, e) })
	return e
}

// closeRecords closes e, which a test may have done before.
func closeRecords(tb testing.TB, e *Endpoints) {
	tb.Helper()
	if err := e.Close(); err != nil && !errors.Is(err, fs.ErrClosed) {
		tb.Error(err)
	}
}

func newEndpoints(tb testing.TB) *Endpoints {
	tb.Helper()
	return openRecords(tb, newMapDir(tb))
}

// inRecords returns a path below the directory of the records.
func inRecords(e *Endpoints, parts ...string) string {
	return filepath.Join(append([]string{mapsOf(e).Root(), recordsDir}, parts...)...)
}

func mkdir(tb testing.TB, paths ...string) {
	tb.Helper()
	for _, p := range paths {
		testns.Must(tb, os.MkdirAll(p, 0o700))
	}
}

// link makes the symbolic link name, and the directories above it.
func link(tb testing.TB, target, name string) {
	tb.Helper()
	mkdir(tb, filepath.Dir(name))
	testns.Must(tb, os.Symlink(target, name))
}

func isThere(tb testing.TB, path string) bool {
	tb.Helper()
	_, err := os.Lstat(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		tb.Fatal(err)
	}
	return err == nil
}

func TestOpenEndpointsWithoutRecords(t *testing.T) {
	dir := newMapDir(t)
	if _, err := OpenEndpoints(t.Context(), dir.Root()); !errors.Is(err, ErrNoRecords) {
		t.Errorf("OpenEndpoints on a new bpffs: %v; want %v", err, ErrNoRecords)
	}
	for _, name := range []string{recordsDir, "tc"} {
		if isThere(t, filepath.Join(dir.Root(), name)) {
			t.Errorf("OpenEndpoints made %s", name)
		}
	}
	chmod(t, dir.Root(), 0o777) // in which nothing could be made
	if _, err := OpenEndpoints(t.Context(), dir.Root()); !errors.Is(err, ErrNoRecords) {
		t.Errorf("OpenEndpoints in a root for everybody, without records: %v; want %v", err, ErrNoRecords)
	}
	chmod(t, dir.Root(), 0o700)
	mkdir(t, filepath.Join(dir.Root(), recordsDir)) // as a kill leaves it
	if _, err := OpenEndpoints(t.Context(), dir.Root()); !errors.Is(err, ErrNoRecords) {
		t.Errorf("OpenEndpoints with nothing in the records: %v; want %v", err, ErrNoRecords)
	}
	if isThere(t, filepath.Join(dir.Root(), recordsDir, layoutDir)) {
		t.Errorf("OpenEndpoints made %s", layoutDir)
	}
}

func TestAllRoots(t *testing.T) {
	for _, root := range []string{DefaultRoot, DefaultRoot + "/", "/x"} {
		want := []string{root, DefaultRoot, DefaultFallback}
		if root != "/x" {
			want = []string{root, DefaultFallback}
		}
		if got := (Roots{Root: root}).All(); !slices.Equal(got, want) {
			t.Errorf("all roots with %s: %q, want %q", root, got, want)
		}
	}
}

func TestOpenEndpointsOpensWhatCreateMade(t *testing.T) {
	e := newEndpoints(t)
	a := Attachment{"net", "pod", "eth0"}
	want := allocate(t, e, a)
	closeRecords(t, e)
	reopened, err := OpenEndpoints(t.Context(), mapsOf(e).Root())
	testns.Must(t, err)
	defer reopened.Close()
	if got, err := reopened.ID(a); err != nil || got != want {
		t.Errorf("ID(%v) = %d, %v after opening again; want %d", a, got, err, want)
	}
}

func TestEndpointsOffBPFFS(t *testing.T) {
	testns.Need(t)
	dir := mapDirAt(t, t.TempDir())
	for name, open := range openers() {
		if _, err := open(t.Context(), dir.Root()); !errors.Is(err, ErrNotMounted) {
			t.Errorf("%s on a directory that is no bpffs: %v; want %v", name, err, ErrNotMounted)
		}
	}
	if entries, err := os.ReadDir(dir.Root()); err != nil || len(entries) > 0 {
		t.Errorf("opening left %v, %v in the directory; want nothing", entries, err)
	}
}

func openers() map[string]func(context.Context, string) (*Endpoints, error) {
	return map[string]func(context.Context, string) (*Endpoints, error){
		"CreateEndpoints": CreateEndpoints, "OpenEndpoints": OpenEndpoints,
	}
}

func TestEndpointsLayout(t *testing.T) {
	for _, row := range []struct {
		name    string
		records []string
		want    error
	}{
		{name: "new", records: nil},
		{name: "empty", records: []string{""}},
		{name: "ours", records: []string{layoutDir, endpointsDir}},
		{name: "a later one", records: []string{"layout-2", endpointsDir}, want: ErrLayout},
		{name: "none", records: []string{endpointsDir}, want: ErrLayout},
	} {
		t.Run(row.name, func(t *testing.T) {
			dir := newMapDir(t)
			for _, r := range row.records {
				mkdir(t, filepath.Join(dir.Root(), recordsDir, r))
			}
			e, err := CreateEndpoints(t.Context(), dir.Root())
			if !errors.Is(err, row.want) {
				t.Fatalf("CreateEndpoints on records %q: %v; want %v", row.records, err, row.want)
			}
			if row.want != nil {
				return
			}
			defer e.Close()
			if !isThere(t, inRecords(e, layoutDir)) {
				t.Errorf("CreateEndpoints on records %q made no %s", row.records, layoutDir)
			}
		})
	}
}

func TestOpeningClearsScratch(t *testing.T) {
	for name, open := range openers() {
		t.Run(name, func(t *testing.T) {
			e := newEndpoints(t)
			mkdir(t, inRecords(e, scratchDir, "owner/net/pod/eth0"), inRecords(e, scratchDir, "pins/tc/globals/x"))
			closeRecords(t, e)
			again, err := open(t.Context(), mapsOf(e).Root())
			testns.Must(t, err)
			defer again.Close()
			if isThere(t, inRecords(e, scratchDir)) {
				t.Errorf("%s left what a killed process had in %s", name, scratchDir)
			}
		})
	}
}
