package bpffs

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cni-bpffs/cni-bpffs/internal/podfs"
	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// findIn calls Find in a process with that environment.
func findIn(tb testing.TB, env ...string) (root string, failed bool, message string) {
	tb.Helper()
	clean := []string{EnvCiliumRoot + "=", EnvTCRoot + "="}
	m := testns.Crowd(tb, 1, "find", func(int) []string { return append(clean, env...) })[0]
	return m.Stdout, m.Err != nil, m.Stderr
}

func TestFindByEnvironment(t *testing.T) {
	testns.UnmountAll(t, DefaultRoot)
	first, second, none := testns.BPFFS(t), testns.BPFFS(t), t.TempDir()
	link := filepath.Join(t.TempDir(), "link")
	symlink(t, first, link)
	for _, row := range []struct {
		name        string
		cilium, tc  string
		want        string
		wantMessage string
	}{
		{name: "cilium", cilium: first, want: first},
		{name: "tc", tc: second, want: second},
		{name: "cilium before tc", cilium: second, tc: first, want: second},
		{name: "through a link", cilium: link, want: first},
		{name: "no bpffs", cilium: none, tc: first, wantMessage: "$CILIUM_BPF_MNT: " + none + ": no bpffs is mounted there"},
		{name: "missing", tc: filepath.Join(none, "missing"), wantMessage: "$TC_BPF_MNT: "},
	} {
		t.Run(row.name, func(t *testing.T) {
			root, failed, message := findIn(t, EnvCiliumRoot+"="+row.cilium, EnvTCRoot+"="+row.tc)
			if failed != (row.wantMessage != "") || !strings.Contains(message, row.wantMessage) {
				t.Errorf("Find with %+v fails: %v, %q", row, failed, message)
			}
			if root != row.want {
				t.Errorf("Find with %+v = %q; want %q", row, root, row.want)
			}
		})
	}
}

func TestFindByMountTable(t *testing.T) {
	for _, row := range []struct {
		name    string
		prepare func(tb testing.TB, top string)
		want    string // below top, or absolute
	}{
		{"default", func(tb testing.TB, top string) {
			tb.Helper()
			bpffsBelow(tb, top, "a")
			testns.Mounting("bpf")(tb, DefaultRoot)
		}, DefaultRoot},
		{"default over another", func(tb testing.TB, _ string) { tb.Helper(); testns.Mounting("tmpfs", "bpf")(tb, DefaultRoot) }, DefaultRoot},
		{"default hidden", func(tb testing.TB, top string) {
			tb.Helper()
			testns.Mounting("bpf", "tmpfs")(tb, DefaultRoot)
			bpffsBelow(tb, top, "a")
		}, "a"},
		{"the first", func(tb testing.TB, top string) { tb.Helper(); bpffsBelow(tb, top, "z", "a") }, "z"},
		{"the first is covered", func(tb testing.TB, top string) {
			tb.Helper()
			bpffsBelow(tb, top, "z", "a")
			testns.Mount(tb, "tmpfs", filepath.Join(top, "z"), "")
		}, "a"},
		{"the first are in the volume of a pod", func(tb testing.TB, top string) {
			tb.Helper()
			for _, name := range []string{"maps", "maps-rw", "token"} {
				viewBelow(tb, top, name)
			}
			bpffsBelow(tb, top, "z")
		}, "z"},
		{"the first is below another mount", func(tb testing.TB, top string) {
			tb.Helper()
			bpffsBelow(tb, top, "hidden/z", "a")
			testns.Mount(tb, "tmpfs", filepath.Join(top, "hidden"), "")
		}, "a"},
		{"hidden, its directory is still there", func(tb testing.TB, top string) {
			tb.Helper()
			bpffsBelow(tb, top, "hidden/z", "a")
			testns.Mount(tb, "tmpfs", filepath.Join(top, "hidden"), "")
			mkdir(tb, filepath.Join(top, "hidden/z"))
		}, "a"},
		{"a name with a space", func(tb testing.TB, top string) { tb.Helper(); bpffsBelow(tb, top, "a b") }, "a b"},
	} {
		t.Run(row.name, func(t *testing.T) {
			testns.UnmountAll(t, DefaultRoot)
			top := t.TempDir()
			row.prepare(t, top)
			want := row.want
			if !filepath.IsAbs(want) {
				want = filepath.Join(top, want)
			}
			if root, failed, message := findIn(t); failed || root != want {
				t.Errorf("Find = %q, %s; want %q", root, message, want)
			}
		})
	}
}

// bpffsBelow mounts a bpffs at each of the paths below top.
func bpffsBelow(tb testing.TB, top string, paths ...string) {
	tb.Helper()
	for _, path := range paths {
		mkdir(tb, filepath.Join(top, path))
		testns.Mount(tb, "bpf", filepath.Join(top, path), "")
	}
}

// viewBelow mounts below top what a pod sees in its volume.
func viewBelow(tb testing.TB, top, name string) {
	tb.Helper()
	dir, err := os.Open(top)
	testns.Must(tb, err)
	defer dir.Close()
	needVolumes(tb)
	f, err := podfs.New()
	testns.Must(tb, err)
	defer f.Close()
	testns.Must(tb, f.Attach(dir, name))
	tb.Cleanup(func() { testns.Must(tb, syscall.Unmount(filepath.Join(top, name), 0)) })
}

func TestFindNothing(t *testing.T) {
	testns.UnmountAll(t, DefaultRoot)
	before := mountTable(t)
	for _, name := range []string{EnvCiliumRoot, EnvTCRoot} {
		if os.Getenv(name) != "" {
			t.Skipf("$%s is set", name)
		}
	}
	if root, err := FindRoot(); !errors.Is(err, ErrNotMounted) {
		t.Errorf("Find without a bpffs = %q, %v; want %v", root, err, ErrNotMounted)
	}
	if diff := cmp.Diff(before, mountTable(t)); diff != "" {
		t.Errorf("Find changed the mounts (-before +after):\n%s", diff)
	}
}
