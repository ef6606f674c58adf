package owned

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// TestOnlyAbsentMeansAbsent: of all errors that the kernel has, four mean that
// nothing is there.
func TestOnlyAbsentMeansAbsent(t *testing.T) {
	absent := map[syscall.Errno]bool{syscall.ENOENT: true, syscall.ENOTDIR: true, syscall.ELOOP: true, syscall.ENAMETOOLONG: true}
	for errno := syscall.Errno(1); errno < 134; errno++ {
		for _, err := range []error{
			errno, &os.PathError{Op: "stat", Path: "/x", Err: errno}, fmt.Errorf("looking: %w", os.NewSyscallError("statx", errno)),
		} {
			if got := IsAbsent(err); got != absent[errno] {
				t.Errorf("IsAbsent(%v): got %v, want %v", err, got, absent[errno])
			}
		}
	}
	for _, err := range []error{nil, errors.New("no such file or directory"), fs.ErrPermission} {
		if IsAbsent(err) {
			t.Errorf("IsAbsent(%v): got true, want false", err)
		}
	}
}

const stranger = 4321 // a user that is not root

// A thing is made on the way, in the order of the list.
type thing struct {
	name  string
	link  string // where it leads; empty for a directory
	mode  fs.FileMode
	owner int
}

// TestWayToTheRoot: a way leads where the kernel's leads, and is unsafe because of its
// first part that others can change.
func TestWayToTheRoot(t *testing.T) {
	const all = 0o777
	dir := func(name string) thing { return thing{name: name, mode: 0o755} }
	for _, row := range []struct {
		name     string
		made     []thing
		way      string
		want     string // where it leads
		missing  bool
		dangling string
		unsafe   string // the part that is to blame
	}{
		{name: "nothing special", made: []thing{dir("a"), dir("a/b")}, way: "a/b", want: "a/b"},
		{name: "slashes and dots", made: []thing{dir("a"), dir("a/b")}, way: ".//a/./b/", want: "a/b"},
		{name: "missing", made: []thing{dir("a")}, way: "a/x/y", want: "a/x/y", missing: true},
		{name: "a link", made: []thing{dir("a"), {name: "l", link: "a"}}, way: "l/x", want: "a/x", missing: true},
		{name: "a link upwards", made: []thing{dir("a"), dir("a/b"), {name: "a/b/l", link: "../.."}}, way: "a/b/l/a", want: "a"},
		{name: "links to links", made: []thing{dir("a"), {name: "k", link: "a"}, {name: "l", link: "k"}}, way: "l", want: "a"},
		{name: "a link to nothing", made: []thing{{name: "l", link: "no"}}, way: "l", want: "no", missing: true, dangling: "l"},
		{name: "a link to nothing on the way", made: []thing{{name: "l", link: "no/way"}}, way: "l/x", want: "no/way/x", missing: true, dangling: "l"},

		{name: "of another user", made: []thing{{name: "a", mode: 0o755, owner: stranger}}, way: "a/x", want: "a/x", missing: true, unsafe: "a"},
		{name: "the last one is anybody's", made: []thing{{name: "a", mode: 0o755, owner: stranger}}, way: "a", want: "a"},
		{name: "for everybody", made: []thing{{name: "a", mode: all}, dir("a/b")}, way: "a/b", want: "a/b", unsafe: "a"},
		{name: "for a group", made: []thing{{name: "a", mode: 0o775}, dir("a/b")}, way: "a/b", want: "a/b", unsafe: "a"},
		{name: "sticky, then root's", made: []thing{{name: "a", mode: all | fs.ModeSticky}, dir("a/b")}, way: "a/b", want: "a/b"},
		{name: "sticky, then missing", made: []thing{{name: "a", mode: all | fs.ModeSticky}}, way: "a/b/c", want: "a/b/c", missing: true},
		{name: "sticky, then a user's", made: []thing{{name: "a", mode: all | fs.ModeSticky}, {name: "a/b", mode: 0o755, owner: stranger}}, way: "a/b", want: "a/b", unsafe: "a/b"},
		{name: "sticky, then a user's link", made: []thing{dir("c"), {name: "a", mode: all | fs.ModeSticky}, {name: "a/l", link: "../c", owner: stranger}}, way: "a/l", want: "c", unsafe: "a/l"},
		{name: "sticky, then root's link", made: []thing{dir("c"), {name: "a", mode: all | fs.ModeSticky}, {name: "a/l", link: "../c"}}, way: "a/l", want: "c"},
		{name: "a user's sticky", made: []thing{{name: "a", mode: all | fs.ModeSticky, owner: stranger}, dir("a/b")}, way: "a/b", want: "a/b", unsafe: "a"},
		{name: "the first that is unsafe", made: []thing{{name: "a", mode: all}, {name: "a/b", mode: all}}, way: "a/b/c", want: "a/b/c", missing: true, unsafe: "a"},
		{name: "beside the way", made: []thing{{name: "a", mode: all, owner: stranger}, dir("b")}, way: "b", want: "b"},
		{name: "through and back", made: []thing{{name: "u", mode: 0o755, owner: stranger}, dir("u/s"), dir("b"), {name: "l", link: "u/s/../../b"}}, way: "l", want: "b", unsafe: "u"},
	} {
		t.Run(row.name, func(t *testing.T) {
			testns.Need(t)
			top := t.TempDir()
			testns.Mount(t, "tmpfs", top, "mode=0755")
			for _, m := range row.made {
				put(t, filepath.Join(top, m.name), m)
			}
			in := func(name string) string {
				if name == "" {
					return ""
				}
				return filepath.Join(top, name)
			}
			trusting(t, top)
			way, err := Follow(top + "/" + row.way)
			testns.Must(t, err)
			if way.Path != in(row.want) || way.Missing != row.missing || way.Dangling != in(row.dangling) {
				t.Errorf("Follow(%s): got %+v, want the path %s, missing %v, dangling %q", row.way, way, in(row.want), row.missing, in(row.dangling))
			}
			if leads, err := filepath.EvalSymlinks(top + "/" + row.way); err == nil && leads != way.Path {
				t.Errorf("Follow(%s): got the path %s, want that of the kernel: %s", row.way, way.Path, leads)
			}
			if way.At != in(row.unsafe) || errors.Is(way.Unsafe, ErrUnsafe) != (row.unsafe != "") {
				t.Errorf("Follow(%s): got unsafe at %q (%v), want %q", row.way, way.At, way.Unsafe, in(row.unsafe))
			}
			if row.unsafe != "" && !strings.Contains(way.Unsafe.Error(), in(row.unsafe)) {
				t.Errorf("Follow(%s): got %v, want %s in it", row.way, way.Unsafe, in(row.unsafe))
			}
		})
	}
}

func put(t *testing.T, path string, m thing) {
	t.Helper()
	if m.link != "" {
		testns.Must(t, os.Symlink(m.link, path))
	} else {
		testns.Must(t, os.Mkdir(path, 0o700))
		testns.Must(t, os.Chmod(path, m.mode))
	}
	testns.Chown(t, path, m.owner)
}

// trusting wants the way to the test's own directory to be safe.
func trusting(t *testing.T, top string) {
	t.Helper()
	way, err := Follow(top)
	testns.Must(t, err)
	if way.Unsafe != nil {
		t.Skipf("the directory for the test is not safe: %v", way.Unsafe)
	}
}

// TestWayToTheRootThatEndsInAnError: what is no way is an error, as the kernel has it.
func TestWayToTheRootThatEndsInAnError(t *testing.T) {
	top := t.TempDir()
	testns.Must(t, os.WriteFile(top+"/file", nil, 0o600))
	testns.Must(t, os.Symlink("loop", top+"/loop"))
	testns.Must(t, os.Symlink("pong", top+"/ping"))
	testns.Must(t, os.Symlink("ping", top+"/pong"))
	for i := range 50 {
		testns.Must(t, os.Symlink(fmt.Sprintf("link%d", i+1), fmt.Sprintf("%s/link%d", top, i)))
	}
	testns.Must(t, os.Mkdir(top+"/link50", 0o700))
	for way, want := range map[string]error{
		"file": unix.ENOTDIR, "file/x": unix.ENOTDIR, "loop": unix.ELOOP, "ping/x": unix.ELOOP, "link0": unix.ELOOP, "link11": nil,
		strings.Repeat("n", 256): unix.ENAMETOOLONG, strings.Repeat("loop/../", 100): unix.ELOOP,
	} {
		_, err := Follow(top + "/" + way)
		_, kernel := os.Stat(top + "/" + way)
		if !errors.Is(err, want) || (err == nil) != (kernel == nil) && way != "file" {
			t.Errorf("Follow(%.30s): got %v, want %v; the kernel has %v", way, err, want, kernel)
		}
	}
}
