package mounts

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/cni-bpffs/cni-bpffs/internal/bpfmount"
	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// A idCase does something to the mount with the ID at top/a/b.
type idCase struct {
	name string
	do   func(t *testing.T, top string)
	want string // below top; empty: it is not mounted
	says string // the error, instead
}

func idCases() []idCase {
	rename := func(from, to string) func(t *testing.T, top string) {
		return func(t *testing.T, top string) {
			t.Helper()
			testns.Must(t, os.Rename(filepath.Join(top, from), filepath.Join(top, to)))
		}
	}
	over := func(path string) func(t *testing.T, top string) {
		return func(t *testing.T, top string) {
			t.Helper()
			testns.Mount(t, "tmpfs", filepath.Join(top, path), "")
		}
	}
	return []idCase{
		{"as it was", func(*testing.T, string) {}, "a/b", ""},
		{"renamed", rename("a", "x"), "x/b", ""},
		{"renamed, a link in its place", func(t *testing.T, top string) {
			t.Helper()
			rename("a", "x")(t, top)
			testns.Must(t, os.Symlink("x", filepath.Join(top, "a")))
		}, "x/b", ""},
		{"moved", func(t *testing.T, top string) {
			t.Helper()
			mkdir(t, filepath.Join(top, "x"))
			testns.Must(t, syscall.Mount(filepath.Join(top, "a/b"), filepath.Join(top, "x"), "", syscall.MS_MOVE, ""))
		}, "x", ""},
		{"unmounted", func(t *testing.T, top string) {
			t.Helper()
			testns.Must(t, syscall.Unmount(filepath.Join(top, "a/b"), 0))
		}, "", ""},
		{"another one of the same device number", func(t *testing.T, top string) {
			t.Helper()
			at := filepath.Join(top, "a/b")
			var before, after syscall.Stat_t
			testns.Must(t, syscall.Stat(at, &before))
			testns.Must(t, syscall.Unmount(at, 0))
			testns.Mount(t, "bpf", at, "")
			testns.Must(t, syscall.Stat(at, &after))
			t.Logf("device numbers: %d before, %d after", before.Dev, after.Dev)
		}, "", ""},
		{"covered", over("a/b"), "", "mounted over"},
		{"covered above", over("a"), "", "mounted over"},
		{"covered far above", over("."), "", "mounted over"},
	}
}

// TestFind: an ID finds its mount and no other, wherever it is.
func TestFind(t *testing.T) {
	for _, way := range []string{uniquePrefix, sourcePrefix} {
		for _, row := range idCases() {
			t.Run(way+row.name, func(t *testing.T) {
				top := t.TempDir()
				testns.Mount(t, "tmpfs", top, "")
				at := filepath.Join(top, "a/b")
				mkdir(t, at)
				source := "source" + strings.ReplaceAll(t.Name(), "/", "")[:10] + filepath.Base(top)
				testns.Must(t, syscall.Mount(source, at, "bpf", 0, ""))
				id := idAt(t, way, at, source)
				row.do(t, top)
				root, err := id.Find(at)
				if err == nil {
					defer root.Close()
				}
				switch {
				case row.says != "":
					if err == nil || errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), row.says) {
						t.Errorf("got %v, want an error with %q", err, row.says)
					}
				case row.want == "":
					if !errors.Is(err, fs.ErrNotExist) {
						t.Errorf("got %v, want %v", err, fs.ErrNotExist)
					}
				case err != nil || root.Name() != filepath.Join(top, row.want):
					t.Errorf("got %v, %v, want it at %s", root, err, row.want)
				}
			})
		}
	}
}

// idAt returns the ID of the mount in one of the ways; it skips where this kernel has
// none.
func idAt(t *testing.T, way, at, source string) ID {
	t.Helper()
	if way == sourcePrefix {
		if keeps, err := bpfmount.KeepsSource(); !keeps {
			t.Skipf("this kernel does not keep the source of a bpffs (%v)", err)
		}
		return ID(sourcePrefix + source)
	}
	if !HasStatmount() {
		t.Skip("this kernel has no statmount(2)")
	}
	f, err := os.Open(at)
	testns.Must(t, err)
	defer f.Close()
	id, err := IDOf(f, source)
	testns.Must(t, err)
	if !strings.HasPrefix(string(id), uniquePrefix) {
		t.Errorf("ID of a mount on a kernel with unique IDs: got %s", id)
	}
	return id
}

// FuzzFind: a text that is no ID finds nothing.
func FuzzFind(f *testing.F) {
	for _, id := range []string{"", "mount-", "mount-0", "mount--1", "mount-99999999999999999999", "source-", "source-none", "device-50", "x"} {
		f.Add(id)
	}
	f.Fuzz(func(t *testing.T, text string) {
		root, err := ID(text).Find("/missing")
		if err == nil {
			defer root.Close()
		}
		if is := strings.HasPrefix(text, uniquePrefix) || strings.HasPrefix(text, sourcePrefix); err == nil && !is {
			t.Errorf("%q found %s", text, root.Name())
		}
	})
}
