package mounts

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

func TestMain(m *testing.M) {
	os.Exit(testns.Main(m))
}

// ways are both implementations of At.
func ways() map[string]func(path string) ([]Layer, error) {
	return map[string]func(string) ([]Layer, error){"statmount": byStatmount, "mountinfo": byMountinfo}
}

func mkdir(tb testing.TB, path string) {
	tb.Helper()
	testns.Must(tb, os.MkdirAll(path, 0o700))
}

// A atCase prepares mounts at path, which is an empty directory in a tmpfs.
type atCase struct {
	name    string
	prepare func(tb testing.TB, path string)
	want    []Layer
}

func atCases() []atCase {
	bpf, tmpfs := Layer{FSType: "bpf", Root: "/"}, Layer{FSType: "tmpfs", Root: "/"}
	return []atCase{
		{"nothing", testns.Mounting(), nil},
		{"bpffs", testns.Mounting("bpf"), []Layer{bpf}},
		{"tmpfs", testns.Mounting("tmpfs"), []Layer{tmpfs}},
		{"bpffs on bpffs", testns.Mounting("bpf", "bpf"), []Layer{bpf, bpf}},
		{"tmpfs on bpffs", testns.Mounting("bpf", "tmpfs"), []Layer{tmpfs, bpf}},
		{"bpffs on tmpfs", testns.Mounting("tmpfs", "bpf"), []Layer{bpf, tmpfs}},
		{"three", testns.Mounting("bpf", "tmpfs", "bpf"), []Layer{bpf, tmpfs, bpf}},
		{"bpffs on a part of a tmpfs", testns.PartBelow, []Layer{bpf, {FSType: "tmpfs", Root: "/part"}}},
		{"part of a bpffs", partOfBPFFS, []Layer{{FSType: "bpf", Root: "/part"}}},
		{"whole bpffs bound", wholeBPFFS, []Layer{bpf}},
		{"hidden below the parent", hidden, nil},
		{"mounted again over the hidden", hiddenAndMounted, []Layer{bpf}},
	}
}

func partOfBPFFS(tb testing.TB, path string) {
	tb.Helper()
	part := filepath.Join(testns.BPFFS(tb), "part")
	mkdir(tb, part)
	testns.Bind(tb, part, path)
}

func wholeBPFFS(tb testing.TB, path string) {
	tb.Helper()
	testns.Bind(tb, testns.BPFFS(tb), path)
}

func hidden(tb testing.TB, path string) {
	tb.Helper()
	testns.Mount(tb, "bpf", path, "")
	testns.Mount(tb, "tmpfs", filepath.Dir(path), "")
	mkdir(tb, path)
}

func hiddenAndMounted(tb testing.TB, path string) {
	tb.Helper()
	hidden(tb, path)
	testns.Mount(tb, "bpf", path, "")
}

func TestAt(t *testing.T) {
	testns.Need(t)
	names := []string{"plain", "a space", `back\slash`, "new\nline", `\040octal`, "täb\t"}
	for _, row := range atCases() {
		for i, name := range names {
			if i > 0 && row.name != "nothing" && row.name != "tmpfs on bpffs" {
				continue
			}
			t.Run(row.name+"/"+name, func(t *testing.T) {
				top := t.TempDir()
				testns.Mount(t, "tmpfs", top, "")
				path := filepath.Join(top, name)
				mkdir(t, path)
				row.prepare(t, path)
				expectLayers(t, path, row.want)
			})
		}
	}
}

// expectLayers looks at path in both ways.
func expectLayers(t *testing.T, path string, want []Layer) {
	t.Helper()
	got, err := At(path)
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(Layer{}, "Device")); err != nil || diff != "" {
		t.Errorf("At(%q): %v (-want +got):\n%s", path, err, diff)
	}
	for way, at := range ways() {
		same, err := at(path)
		if way == "statmount" && errors.Is(err, syscall.ENOSYS) {
			t.Logf("this kernel has no statmount: %v", err)
			continue
		}
		if diff := cmp.Diff(got, same); err != nil || diff != "" {
			t.Errorf("%s of %q: %v (-At +%s):\n%s", way, path, err, way, diff)
		}
	}
	if len(got) > 0 {
		expectDevice(t, path, got[0].Device)
	}
}

// expectDevice compares the device of the visible mount with that of the path.
func expectDevice(t *testing.T, path string, got uint64) {
	t.Helper()
	var st syscall.Stat_t
	if err := syscall.Stat(path, &st); err != nil || st.Dev != got {
		t.Errorf("device at %q: got %d, want %d (%v)", path, got, st.Dev, err)
	}
}

// A mount point far longer than the first buffer for statmount.
func TestAtALongPath(t *testing.T) {
	testns.Need(t)
	top := t.TempDir()
	testns.Mount(t, "tmpfs", top, "")
	path := top
	for len(path)+len("/")+100 < syscall.PathMax-1 {
		path = filepath.Join(path, longName(100))
	}
	mkdir(t, path)
	testns.Mount(t, "bpf", path, "")
	expectLayers(t, path, []Layer{{FSType: "bpf", Root: "/"}})
}

func longName(n int) string {
	name := make([]byte, n)
	for i := range name {
		name[i] = '\n' // four bytes in the mount table
	}
	return string(name)
}

// What is below the root directory is outside of the mount namespace.
func TestAtTheRootDirectory(t *testing.T) {
	testns.Need(t)
	layers, err := byMountinfo("/")
	if err != nil || len(layers) == 0 {
		t.Fatalf("mountinfo of /: %v, %v; want a mount", layers, err)
	}
	expectLayers(t, "/", layers)
}

func TestAtWhatIsNotThere(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	for way, look := range ways() {
		if layers, err := look(missing); !errors.Is(err, os.ErrNotExist) && !errors.Is(err, syscall.ENOSYS) {
			t.Errorf("%s of a missing path = %v, %v; want %v", way, layers, err, os.ErrNotExist)
		}
	}
}

func TestHolding(t *testing.T) {
	top := t.TempDir()
	testns.Mount(t, "bpf", top, "mode=0700")
	mkdir(t, filepath.Join(top, "a"))
	for _, path := range []string{top, filepath.Join(top, "a")} {
		if m, err := Holding(path); err != nil || m.Mountpoint != top || m.FSType != "bpf" {
			t.Errorf("Holding(%s): got %+v, %v, want the bpffs at %s", path, m, err, top)
		}
	}
	if m, err := Holding(filepath.Join(top, "missing")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Holding of a missing path: got %+v, %v, want %v", m, err, os.ErrNotExist)
	}
}

// BenchmarkAt looks at a mount point in both ways, in this node's mount table.
func BenchmarkAt(b *testing.B) {
	for way, at := range ways() {
		b.Run(way, func(b *testing.B) {
			root := testns.BPFFS(b)
			for b.Loop() {
				if layers, err := at(root); err != nil || len(layers) != 1 {
					b.Fatalf("looking at %s: got %v, %v, want one bpffs", root, layers, err)
				}
			}
		})
	}
}
