package reliability

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/test/internal/node"
)

// TestMountsChange: somebody mounts, unmounts or links between two verbs.
func TestMountsChange(t *testing.T) {
	for _, tt := range []struct {
		name string
		test func(t *testing.T, add call)
	}{
		{"unmounted", unmountedUnderUs},
		{"another bpffs in its place", replacedUnderUs},
		{"read-only", readOnlyUnderUs},
		{"hidden by a tmpfs", hiddenUnderUs("tmpfs")},
		{"hidden by another bpffs", hiddenUnderUs("bpf")},
		{"a link to a bpffs", linkedToBPFFS},
		{"a link to nothing", linkedTo("/missing/at/all")},
		{"a link to a file", linkedTo("/etc/passwd")},
		{"a link to itself", linkedTo("bpf")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			add := call{verb: "ADD", who: attachment{"net", "c", "eth0"}, root: newRoot(t), maps: created}
			add.succeed(t)
			tt.test(t, add)
		})
	}
}

func unmountedUnderUs(t *testing.T, add call) {
	t.Helper()
	node.Unmount(add.root)
	add.as("CHECK").fail(t, 105, "no endpoint")
	for _, verb := range []string{"DEL", "GC", "STATUS"} {
		add.as(verb).succeed(t)
	}
	if layers, err := node.Layers(add.root); err != nil || layers != nil {
		t.Errorf("mounted after DEL, GC, STATUS: got %q (%v), want nothing", layers, err)
	}
	add.succeed(t)
	sound(t, add.root, nil)
}

func replacedUnderUs(t *testing.T, add call) {
	t.Helper()
	node.Unmount(add.root)
	mountBPF(t, add.root, "mode=0700")
	add.as("CHECK").fail(t, 105, "no endpoint")
	add.as("DEL").succeed(t)
	add.succeed(t)
	sound(t, add.root, nil)
	empty(t, add.root, nil, nil)
}

func readOnlyUnderUs(t *testing.T, add call) {
	t.Helper()
	const bind, ro = syscall.MS_REMOUNT | syscall.MS_BIND, syscall.MS_RDONLY
	testns.Must(t, syscall.Mount("", add.root, "", bind|ro, ""))
	before := readTree(t, add.root)
	another := add
	another.who.container = "another"
	another.fail(t, 100, "read-only file system", add.root)
	for _, verb := range []string{"DEL", "GC"} {
		add.as(verb).fail(t, 108, "read-only file system", add.root)
	}
	add.succeed(t) // it has all it needs
	after := readTree(t, add.root)
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("a read-only bpffs changed (-before +after):\n%s", diff)
	}
	testns.Must(t, syscall.Mount("", add.root, "", bind, ""))
	empty(t, add.root, nil, nil)
}

// hiddenUnderUs: nothing is written to, or removed from, the layer on top, and
// what is below comes back when it is gone.
func hiddenUnderUs(fsType string) func(t *testing.T, add call) {
	return func(t *testing.T, add call) {
		t.Helper()
		before := readTree(t, add.root)
		testns.Must(t, syscall.Mount(fsType, add.root, fsType, 0, ""))
		add.fail(t, 100, "stacked", fsType+" (/) over bpf (/)", "umount "+add.root)
		add.as("STATUS").fail(t, 50, "stacked")
		add.as("DEL").succeed(t) // there is no record to be seen
		add.as("GC").succeed(t)
		if top := readTree(t, add.root); len(top) > 0 {
			t.Errorf("in the layer on top: got %q, want nothing", top)
		}
		testns.Must(t, syscall.Unmount(add.root, syscall.MNT_DETACH))
		after := readTree(t, add.root)
		if diff := cmp.Diff(before, after); diff != "" {
			t.Errorf("the bpffs changed while it was hidden (-before +after):\n%s", diff)
		}
		empty(t, add.root, nil, nil)
	}
}

// linkedToBPFFS: the paths are then those of the bpffs itself.
func linkedToBPFFS(t *testing.T, add call) {
	t.Helper()
	elsewhere := newRoot(t)
	mountBPF(t, elsewhere, "mode=0700")
	node.Unmount(add.root)
	testns.Must(t, os.Remove(add.root))
	testns.Must(t, os.Symlink(elsewhere, add.root))
	paths, err := add.succeed(t).Paths()
	if err != nil || len(paths) != 2 || filepath.Dir(paths[0]) != filepath.Join(elsewhere, node.Globals) {
		t.Errorf("got the paths %q (%v), want two below %s", paths, err, elsewhere)
	}
	add.as("DEL").succeed(t)
	empty(t, elsewhere, nil, nil)
}

func linkedTo(target string) func(t *testing.T, add call) {
	return func(t *testing.T, add call) {
		t.Helper()
		node.Unmount(add.root)
		testns.Must(t, os.Remove(add.root))
		testns.Must(t, os.Symlink(target, add.root))
		add.fail(t, 100, add.root)
		add.as("STATUS").fail(t, 50)
		if fi, err := os.Lstat(add.root); err != nil || fi.Mode().Type() != os.ModeSymlink {
			t.Errorf("what was a link: got %v (%v), want a link", fi, err)
		}
	}
}
