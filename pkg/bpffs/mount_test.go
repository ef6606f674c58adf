package bpffs

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/sys/mountinfo"

	"github.com/cni-bpffs/cni-bpffs/internal/mounts"
	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// A rootCase is a row of "The root" in docs/design.md.
type rootCase struct {
	name    string
	prepare func(tb testing.TB, path string) // path is an empty directory
	isNew   bool
	err     error
}

func rootCases() []rootCase {
	return []rootCase{
		{"not a mount point", testns.Mounting(), true, nil},
		{"missing", removeDir, true, nil},
		{"one bpffs", testns.Mounting("bpf"), false, nil},
		{"another file system", testns.Mounting("tmpfs"), false, ErrOtherFileSystem},
		{"bpffs on bpffs", testns.Mounting("bpf", "bpf"), false, ErrStacked},
		{"tmpfs on bpffs", testns.Mounting("bpf", "tmpfs"), false, ErrStacked},
		{"bpffs on tmpfs", testns.Mounting("tmpfs", "bpf"), false, ErrStacked},
		{"bpffs on a part of a tmpfs", testns.PartBelow, false, nil},
		{"a file", fileInstead, false, syscall.ENOTDIR},
	}
}

func removeDir(tb testing.TB, path string) {
	tb.Helper()
	testns.Must(tb, os.Remove(path))
}

func fileInstead(tb testing.TB, path string) {
	tb.Helper()
	removeDir(tb, path)
	writeFile(tb, path, "")
}

func writeFile(tb testing.TB, path, content string) {
	tb.Helper()
	testns.Must(tb, os.WriteFile(path, []byte(content), 0o600))
}

func TestMountGivenRoot(t *testing.T) {
	for _, row := range rootCases() {
		t.Run(row.name, func(t *testing.T) {
			testns.Need(t)
			root := filepath.Join(t.TempDir(), "root")
			mkdir(t, root)
			testns.UnmountAll(t, root)
			row.prepare(t, root)
			want := MountPoint{Path: root, New: row.isNew}
			expectMount(t, Roots{Root: root}, want, row.err)
		})
	}
}

// expectMount calls CheckMount, Mount and both again, which must agree.
func expectMount(t *testing.T, r Roots, want MountPoint, wantErr error) {
	t.Helper()
	before := mountTable(t)
	m, err := CheckMount(r)
	if !errors.Is(err, wantErr) || wantErr == nil && m != want {
		t.Errorf("CheckMount(%+v) = %+v, %v; want %+v, %v", r, m, err, want, wantErr)
	}
	if diff := cmp.Diff(before, mountTable(t)); diff != "" {
		t.Errorf("CheckMount(%+v) changed the mounts (-before +after):\n%s", r, diff)
	}
	for i := range 2 {
		want.New = want.New && i == 0
		got, err := Mount(t.Context(), r)
		if !errors.Is(err, wantErr) {
			t.Errorf("Mount(%+v), call %d: %v; want %v", r, i, err, wantErr)
		}
		if err == nil && got != want {
			t.Errorf("Mount(%+v), call %d = %+v; want %+v", r, i, got, want)
		}
	}
	if wantErr != nil {
		if diff := cmp.Diff(before, mountTable(t)); diff != "" {
			t.Errorf("Mount(%+v) changed the mounts in spite of %v (-before +after):\n%s", r, wantErr, diff)
		}
		return
	}
	if m, err := CheckMount(r); err != nil || m != want {
		t.Errorf("CheckMount(%+v) after Mount = %+v, %v; want %+v", r, m, err, want)
	}
	if ok, err := isBPF(want.Path); err != nil || !ok {
		t.Errorf("after Mount(%+v) there is no bpffs at %s: %v", r, want.Path, err)
	}
}

// expectLayers compares the types of what is mounted at path.
func expectLayers(tb testing.TB, path string, want ...string) {
	tb.Helper()
	layers, err := mounts.At(path)
	var got []string
	for _, l := range layers {
		got = append(got, l.FSType)
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		tb.Errorf("mounts at %s: %v (-want +got):\n%s", path, err, diff)
	}
}

// mountTable returns what is mounted where.
func mountTable(tb testing.TB) []string {
	tb.Helper()
	all, err := mountinfo.GetMounts(nil)
	testns.Must(tb, err)
	var lines []string
	for _, m := range all {
		lines = append(lines, m.FSType+" "+m.Mountpoint)
	}
	return lines
}

func TestMountDefault(t *testing.T) {
	for _, row := range rootCases() {
		if row.name == "missing" || row.name == "a file" {
			continue // sysfs makes the directory
		}
		if row.err != ErrOtherFileSystem { //nolint:errorlint // the row itself
			t.Run(row.name, func(t *testing.T) {
				testns.UnmountAll(t, DefaultRoot)
				row.prepare(t, DefaultRoot)
				expectMount(t, Roots{}, MountPoint{Path: DefaultRoot, New: row.isNew}, row.err)
			})
			continue
		}
		for _, fallback := range rootCases() {
			t.Run(row.name+"/"+fallback.name, func(t *testing.T) {
				testns.UnmountAll(t, DefaultRoot)
				row.prepare(t, DefaultRoot)
				path := filepath.Join(t.TempDir(), "fallback")
				mkdir(t, path)
				testns.UnmountAll(t, path)
				fallback.prepare(t, path)
				want := MountPoint{Path: path, New: fallback.isNew, Fallback: true}
				expectMount(t, Roots{Fallback: path}, want, fallback.err)
			})
		}
	}
}

func TestMountErrorsNameBothRoots(t *testing.T) {
	testns.UnmountAll(t, DefaultRoot)
	testns.Mount(t, "tmpfs", DefaultRoot, "")
	fallback := t.TempDir()
	testns.Mount(t, "tmpfs", fallback, "")
	_, err := Mount(t.Context(), Roots{Fallback: fallback})
	_, checkErr := CheckMount(Roots{Fallback: fallback})
	for _, err := range []error{err, checkErr} {
		if err == nil || !strings.Contains(err.Error(), DefaultRoot+": ") || !strings.Contains(err.Error(), fallback) {
			t.Errorf("error with both roots taken: %v; want %s and %s in it", err, DefaultRoot, fallback)
		}
	}
}

func TestMountStackedNamesTheLayers(t *testing.T) {
	root := t.TempDir()
	testns.Mounting("bpf", "tmpfs")(t, root)
	_, err := Mount(t.Context(), Roots{Root: root})
	want := "tmpfs (/) over bpf (/); unmount all but one (umount " + root + ")"
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("Mount on a stack: %v; want %q in it", err, want)
	}
}
