package bpffs

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/sys/mountinfo"

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
		{"not a mount point", mounts(), true, nil},
		{"missing", removeDir, true, nil},
		{"one bpffs", mounts("bpf"), false, nil},
		{"another file system", mounts("tmpfs"), false, ErrOtherFileSystem},
		{"bpffs on bpffs", mounts("bpf", "bpf"), false, ErrStacked},
		{"tmpfs on bpffs", mounts("bpf", "tmpfs"), false, ErrStacked},
		{"bpffs on tmpfs", mounts("tmpfs", "bpf"), false, ErrStacked},
		{"bpffs on a part of a tmpfs", partBelow, false, nil},
		{"a file", fileInstead, false, syscall.ENOTDIR},
	}
}

func removeDir(tb testing.TB, path string) {
	tb.Helper()
	if err := os.Remove(path); err != nil {
		tb.Fatal(err)
	}
}

func fileInstead(tb testing.TB, path string) {
	tb.Helper()
	removeDir(tb, path)
	writeFile(tb, path, "")
}

func writeFile(tb testing.TB, path, content string) {
	tb.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		tb.Fatal(err)
	}
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
	path, err := CheckMount(r)
	if !errors.Is(err, wantErr) || wantErr == nil && path != want.Path {
		t.Errorf("CheckMount(%+v) = %q, %v; wanted %q, %v", r, path, err, want.Path, wantErr)
	}
	if diff := cmp.Diff(before, mountTable(t)); diff != "" {
		t.Errorf("CheckMount(%+v) changed the mounts (-before +after):\n%s", r, diff)
	}
	for i := range 2 {
		want.New = want.New && i == 0
		got, err := Mount(t.Context(), r)
		if !errors.Is(err, wantErr) {
			t.Errorf("Mount(%+v), call %d: %v; wanted %v", r, i, err, wantErr)
		}
		if err == nil && got != want {
			t.Errorf("Mount(%+v), call %d = %+v; wanted %+v", r, i, got, want)
		}
	}
	if wantErr != nil {
		if diff := cmp.Diff(before, mountTable(t)); diff != "" {
			t.Errorf("Mount(%+v) changed the mounts in spite of %v (-before +after):\n%s", r, wantErr, diff)
		}
		return
	}
	if path, err := CheckMount(r); err != nil || path != want.Path {
		t.Errorf("CheckMount(%+v) after Mount = %q, %v; wanted %q", r, path, err, want.Path)
	}
	if ok, err := isBPF(want.Path); err != nil || !ok {
		t.Errorf("after Mount(%+v) there is no bpffs at %s: %v", r, want.Path, err)
	}
}

// mountTable returns what is mounted where.
func mountTable(tb testing.TB) []string {
	tb.Helper()
	all, err := mountinfo.GetMounts(nil)
	if err != nil {
		tb.Fatal(err)
	}
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
			t.Errorf("error with both roots taken: %v; wanted %s and %s in it", err, DefaultRoot, fallback)
		}
	}
}

func TestMountStackedNamesTheLayers(t *testing.T) {
	root := t.TempDir()
	mounts("bpf", "tmpfs")(t, root)
	_, err := Mount(t.Context(), Roots{Root: root})
	want := "tmpfs (/) over bpf (/); unmount all but one (umount " + root + ")"
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("Mount on a stack: %v; wanted %q in it", err, want)
	}
}

func TestRelativeRoot(t *testing.T) {
	t.Chdir(t.TempDir())
	if m, err := Mount(t.Context(), Roots{Root: "some/root"}); err == nil {
		t.Errorf("Mount at a relative root = %+v; wanted an error", m)
	}
	if path, err := CheckMount(Roots{Root: "some/root"}); err == nil {
		t.Errorf("CheckMount at a relative root = %q; wanted an error, as of Mount", path)
	}
	if isThere(t, "some") {
		t.Error("a relative root was made")
	}
}

func TestMountBehindALink(t *testing.T) {
	testns.Need(t)
	top := t.TempDir()
	root := filepath.Join(top, "run", "bpf")
	mkdir(t, filepath.Dir(root))
	symlink(t, "run", filepath.Join(top, "var"))
	testns.UnmountAll(t, root)
	r := Roots{Root: filepath.Join(top, "var", "bpf")}
	mkdir(t, root)
	expectMount(t, r, MountPoint{Path: root, New: true}, nil)
}

// The link is there already, the directory is not.
func TestCheckMountBehindALinkToNothing(t *testing.T) {
	testns.Need(t)
	top := t.TempDir()
	mkdir(t, filepath.Join(top, "run"))
	symlink(t, "run", filepath.Join(top, "var"))
	root := filepath.Join(top, "run", "bpf")
	testns.UnmountAll(t, root)
	r := Roots{Root: filepath.Join(top, "var", "bpf")}
	checked, err := CheckMount(r)
	if err != nil {
		t.Fatalf("CheckMount(%+v): %v", r, err)
	}
	if isThere(t, root) {
		t.Errorf("CheckMount(%+v) made %s", r, root)
	}
	m, err := Mount(t.Context(), r)
	if err != nil || m.Path != root {
		t.Errorf("Mount(%+v) = %+v, %v; wanted %s", r, m, err, root)
	}
	if checked != m.Path {
		t.Errorf("CheckMount(%+v) = %q, but Mount %q", r, checked, m.Path)
	}
}

func TestRootIsALinkToNothing(t *testing.T) {
	testns.Need(t)
	root := filepath.Join(t.TempDir(), "root")
	symlink(t, "nothing", root)
	if m, err := Mount(t.Context(), Roots{Root: root}); err == nil {
		t.Errorf("Mount at a link to nothing = %+v; wanted an error", m)
	}
	if path, err := CheckMount(Roots{Root: root}); err == nil {
		t.Errorf("CheckMount at a link to nothing = %q; wanted an error, as of Mount", path)
	}
}

func TestMountOptions(t *testing.T) {
	testns.Need(t)
	root := filepath.Join(t.TempDir(), "a", "b")
	testns.UnmountAll(t, root)
	if _, err := Mount(t.Context(), Roots{Root: root}); err != nil {
		t.Fatal(err)
	}
	found, err := mountinfo.GetMounts(mountinfo.SingleEntryFilter(root))
	if err != nil || len(found) != 1 {
		t.Fatalf("the mount table has %d entries of %s, %v; wanted 1", len(found), root, err)
	}
	for _, option := range []string{"rw", "nosuid", "nodev", "noexec"} {
		if !strings.Contains(","+found[0].Options+",", ","+option+",") {
			t.Errorf("%s is mounted with %s; wanted %s too", root, found[0].Options, option)
		}
	}
	if fi, err := os.Stat(root); err != nil || fi.Mode().Perm() != 0o700 {
		t.Errorf("%s: %v, %v; wanted mode 0700", root, fi.Mode(), err)
	}
}

func TestMountLeavesAnotherBPFFSAlone(t *testing.T) {
	root := t.TempDir()
	testns.Mount(t, "bpf", root, "mode=0755")
	mkdir(t, filepath.Join(root, "content"))
	expectMount(t, Roots{Root: root}, MountPoint{Path: root}, nil)
	if fi, err := os.Stat(root); err != nil || fi.Mode().Perm() != 0o755 || !isThere(t, filepath.Join(root, "content")) {
		t.Errorf("%s after Mount: %v, %v; wanted it as before", root, fi, err)
	}
}

func TestMountByManyProcesses(t *testing.T) {
	testns.Need(t)
	root := filepath.Join(t.TempDir(), "root")
	testns.UnmountAll(t, root)
	counts := make(map[string]int)
	for i, m := range testns.Crowd(t, 64, "mount", func(int) []string { return []string{envRoot + "=" + root} }) {
		if m.Err != nil {
			t.Errorf("process %d: %v: %s", i, m.Err, m.Stderr)
		}
		counts[m.Stdout]++
	}
	if diff := cmp.Diff(map[string]int{root + " true": 1, root + " false": 63}, counts); diff != "" {
		t.Errorf("what 64 processes mounted (-want +got):\n%s", diff)
	}
	expectLayers(t, root, []layer{{"bpf", "/"}})
}

func TestMountLocked(t *testing.T) {
	testns.Need(t)
	root := t.TempDir()
	testns.UnmountAll(t, root)
	kill := testns.Start(t, "hold lock", envRoot+"="+root)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if m, err := Mount(ctx, Roots{Root: root}); !errors.Is(err, ErrLocked) {
		t.Errorf("Mount while another process has the lock = %+v, %v; wanted %v", m, err, ErrLocked)
	}
	time.AfterFunc(50*time.Millisecond, kill)
	if m, err := Mount(t.Context(), Roots{Root: root}); err != nil || !m.New {
		t.Errorf("Mount after the holder was killed = %+v, %v; wanted it mounted", m, err)
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

func TestRootsAll(t *testing.T) {
	for _, row := range []struct {
		name  string
		roots Roots
		want  []string
	}{
		{"default", Roots{}, []string{DefaultRoot, DefaultFallback}},
		{"fallback", Roots{Fallback: "/f"}, []string{DefaultRoot, "/f"}},
		{"root", Roots{Root: "/r"}, []string{"/r", DefaultRoot, DefaultFallback}},
	} {
		t.Run(row.name, func(t *testing.T) {
			if diff := cmp.Diff(row.want, row.roots.All()); diff != "" {
				t.Errorf("%+v.All() (-want +got):\n%s", row.roots, diff)
			}
		})
	}
}

func TestInHostMountNamespace(t *testing.T) {
	testns.Need(t) // process 1 is then this process's own
	if in, err := InHostMountNamespace(); err != nil || !in {
		t.Errorf("InHostMountNamespace() = %v, %v in the namespace of process 1", in, err)
	}
}
