package bpffs

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// ways are both implementations of look.
func ways() map[string]func(path string) ([]layer, error) {
	return map[string]func(string) ([]layer, error){"statmount": lookStatmount, "mountinfo": lookMountinfo}
}

// A lookCase prepares mounts at path, which is an empty directory in a tmpfs.
type lookCase struct {
	name    string
	prepare func(tb testing.TB, path string)
	want    []layer
	state   state
}

func lookCases() []lookCase {
	bpf, tmpfs := layer{"bpf", "/"}, layer{"tmpfs", "/"}
	return []lookCase{
		{"nothing", mounts(), nil, unmounted},
		{"bpffs", mounts("bpf"), []layer{bpf}, mounted},
		{"tmpfs", mounts("tmpfs"), []layer{tmpfs}, foreign},
		{"bpffs on bpffs", mounts("bpf", "bpf"), []layer{bpf, bpf}, stacked},
		{"tmpfs on bpffs", mounts("bpf", "tmpfs"), []layer{tmpfs, bpf}, stacked},
		{"bpffs on tmpfs", mounts("tmpfs", "bpf"), []layer{bpf, tmpfs}, stacked},
		{"three", mounts("bpf", "tmpfs", "bpf"), []layer{bpf, tmpfs, bpf}, stacked},
		{"bpffs on a part of a tmpfs", partBelow, []layer{bpf, {"tmpfs", "/part"}}, mounted},
		{"part of a bpffs", partOfBPFFS, []layer{{"bpf", "/part"}}, mounted},
		{"whole bpffs bound", wholeBPFFS, []layer{bpf}, mounted},
		{"hidden below the parent", hidden, nil, unmounted},
		{"mounted again over the hidden", hiddenAndMounted, []layer{bpf}, mounted},
	}
}

// mounts returns a preparation that mounts the file systems on top of each other.
func mounts(fsTypes ...string) func(tb testing.TB, path string) {
	return func(tb testing.TB, path string) {
		tb.Helper()
		for _, fsType := range fsTypes {
			testns.Mount(tb, fsType, path, "")
		}
	}
}

func partBelow(tb testing.TB, path string) {
	tb.Helper()
	other := tb.TempDir()
	testns.Mount(tb, "tmpfs", other, "")
	mkdir(tb, filepath.Join(other, "part"))
	testns.Bind(tb, filepath.Join(other, "part"), path)
	testns.Mount(tb, "bpf", path, "")
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

func TestLook(t *testing.T) {
	testns.Need(t)
	names := []string{"plain", "a space", `back\slash`, "new\nline", `\040octal`, "täb\t"}
	for _, row := range lookCases() {
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
				if got := stateOf(row.want); got != row.state {
					t.Errorf("stateOf(%v) = %d; wanted %d", row.want, got, row.state)
				}
			})
		}
	}
}

// expectLayers looks at path in both ways.
func expectLayers(t *testing.T, path string, want []layer) {
	t.Helper()
	for way, look := range ways() {
		got, err := look(path)
		if way == "statmount" && errors.Is(err, syscall.ENOSYS) {
			t.Logf("this kernel has no statmount: %v", err)
			continue
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(layer{})); err != nil || diff != "" {
			t.Errorf("%s of %q: %v (-want +got):\n%s", way, path, err, diff)
		}
	}
	got, err := look(path)
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(layer{})); err != nil || diff != "" {
		t.Errorf("look(%q): %v (-want +got):\n%s", path, err, diff)
	}
}

// A mount point far longer than the first buffer for statmount.
func TestLookAtALongPath(t *testing.T) {
	testns.Need(t)
	top := t.TempDir()
	testns.Mount(t, "tmpfs", top, "")
	path := top
	for len(path)+len("/")+100 < syscall.PathMax-1 {
		path = filepath.Join(path, longName(100))
	}
	mkdir(t, path)
	testns.Mount(t, "bpf", path, "")
	expectLayers(t, path, []layer{{"bpf", "/"}})
}

func longName(n int) string {
	name := make([]byte, n)
	for i := range name {
		name[i] = '\n' // four bytes in the mount table
	}
	return string(name)
}

// What is below the root directory is outside of the mount namespace.
func TestLookAtTheRootDirectory(t *testing.T) {
	testns.Need(t)
	layers, err := lookMountinfo("/")
	if err != nil || len(layers) == 0 {
		t.Fatalf("mountinfo of /: %v, %v; wanted a mount", layers, err)
	}
	expectLayers(t, "/", layers)
}

func TestLookAtWhatIsNotThere(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	for way, look := range ways() {
		if layers, err := look(missing); !errors.Is(err, os.ErrNotExist) && !errors.Is(err, syscall.ENOSYS) {
			t.Errorf("%s of a missing path = %v, %v; wanted %v", way, layers, err, os.ErrNotExist)
		}
	}
}

func TestStateOf(t *testing.T) {
	for _, row := range []struct {
		name   string
		layers []layer
		want   state
	}{
		{"nothing", nil, unmounted},
		{"bpffs", []layer{{"bpf", "/"}}, mounted},
		{"tmpfs", []layer{{"tmpfs", "/"}}, foreign},
		{"part of sysfs", []layer{{"sysfs", "/fs/bpf"}}, foreign},
		{"bpffs over a part of sysfs", []layer{{"bpf", "/"}, {"sysfs", "/fs/bpf"}}, mounted},
		{"part of sysfs over a bpffs", []layer{{"sysfs", "/fs/bpf"}, {"bpf", "/"}}, stacked},
		{"part of a bpffs", []layer{{"bpf", "/part"}}, mounted},
		{"two parts of a bpffs", []layer{{"bpf", "/a"}, {"bpf", "/b"}}, mounted},
		{"tmpfs over bpffs", []layer{{"tmpfs", "/"}, {"bpf", "/"}}, stacked},
		{"bpffs over a part over bpffs", []layer{{"bpf", "/"}, {"sysfs", "/fs"}, {"bpf", "/"}}, stacked},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := stateOf(row.layers); got != row.want {
				t.Errorf("stateOf(%v) = %d; wanted %d", row.layers, got, row.want)
			}
		})
	}
}

func TestDescribe(t *testing.T) {
	got := describe([]layer{{"tmpfs", "/"}, {"bpf", "/part"}})
	if want := "tmpfs (/) over bpf (/part)"; got != want {
		t.Errorf("describe = %q; wanted %q", got, want)
	}
}
