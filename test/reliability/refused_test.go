package reliability

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/test/internal/node"
	"github.com/cni-bpffs/cni-bpffs/test/internal/plugintest"
	"github.com/cni-bpffs/cni-bpffs/test/internal/trace"
)

// TestRefused: the kernel refuses something. That is a clear error, and the node
// is as before.
func TestRefused(t *testing.T) {
	noMount := plugintest.Limits{Drop: []uintptr{unix.CAP_SYS_ADMIN}}
	noBPF := plugintest.Limits{Fail: map[uint32]unix.Errno{unix.SYS_MOUNT: unix.ENODEV, unix.SYS_FSOPEN: unix.ENODEV}}
	noMaps := func(errno unix.Errno) plugintest.Limits {
		return plugintest.Limits{Fail: map[uint32]unix.Errno{unix.SYS_BPF: errno}}
	}
	fails := func(nr uint32, errno unix.Errno) plugintest.Limits {
		return plugintest.Limits{Fail: map[uint32]unix.Errno{nr: errno}}
	}
	for _, tt := range []struct {
		name   string
		limits plugintest.Limits
		fresh  bool // nothing is mounted before
		verb   string
		code   uint
		says   string
	}{
		{"ADD may not mount", noMount, true, "ADD", 100, "mounting needs CAP_SYS_ADMIN"},
		{"STATUS may not mount", noMount, true, "STATUS", 50, "mounting needs CAP_SYS_ADMIN"},
		{"ADD on a kernel without bpf", noBPF, true, "ADD", 100, "CONFIG_BPF_SYSCALL"},
		{"STATUS on a kernel without bpf", noBPF, true, "STATUS", 50, "CONFIG_BPF_SYSCALL"},
		{"ADD may not create maps", plugintest.Limits{Drop: []uintptr{unix.CAP_BPF, unix.CAP_SYS_ADMIN}}, false, "ADD", 106, "it needs CAP_BPF"},
		{"ADD with maps filtered", noMaps(unix.EPERM), false, "ADD", 106, "this process has CAP_BPF"},
		{"ADD without memory for maps", noMaps(unix.ENOMEM), false, "ADD", 106, "no memory for it"},
		{"ADD with bpf(2) missing", noMaps(unix.ENOSYS), false, "ADD", 106, "function not implemented"},
		{"ADD without memory for directories", fails(unix.SYS_MKDIRAT, unix.ENOMEM), false, "ADD", 999, "cannot allocate memory"},
		{"ADD without memory for links", fails(unix.SYS_SYMLINKAT, unix.ENOMEM), false, "ADD", 999, "cannot allocate memory"},
		{"ADD that cannot rename", fails(unix.SYS_RENAMEAT, unix.EIO), false, "ADD", 999, "input/output error"},
		{"DEL that cannot remove", fails(unix.SYS_UNLINKAT, unix.EPERM), false, "DEL", 108, "operation not permitted"},
		{"GC that cannot remove", fails(unix.SYS_UNLINKAT, unix.EPERM), false, "GC", 108, "operation not permitted"},
		{"ADD that cannot lock", fails(unix.SYS_FLOCK, unix.ENOLCK), false, "ADD", 999, "no locks available"},
		{"ADD with few files", fewFiles(t, "ADD", 999), false, "ADD", 999, "too many open files"},
		{"DEL with few files", fewFiles(t, "DEL", 999), false, "DEL", 999, "too many open files"},
		{"DEL with too few files to reach the pins", fewFiles(t, "DEL", 108), false, "DEL", 108, "too many open files"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			root := newRoot(t)
			other := call{verb: "ADD", who: attachment{"net", "old", "eth0"}, root: root, maps: created}
			var foreign []string
			if !tt.fresh {
				other.succeed(t)
				foreign = []string{node.Globals + "/theirs"}
				testns.Must(t, node.Pin(filepath.Join(root, foreign[0])))
			}
			before := readTree(t, root)
			c := call{verb: tt.verb, who: attachment{"net", "new", "eth0"}, root: root, maps: created}
			if tt.verb == "DEL" {
				c.who = other.who
			}
			a, err := c.tryWithin(tt.limits)
			testns.Must(t, err)
			a.WantError(t, c.String(), tt.code, tt.says)
			after := readTree(t, root)
			if diff := cmp.Diff(before.left(), after.withoutStale(c.who).left()); diff != "" {
				t.Errorf("the node changed (-before +after):\n%s", diff)
			}
			sound(t, root, foreign)
			c.verb = "ADD"
			c.succeed(t)
			empty(t, root, foreign, nil)
		})
	}
}

// TestRefusedPin: somebody pins at the path of a map just when the plugin does. That
// costs no ID, and no other map stays.
func TestRefusedPin(t *testing.T) {
	const first = 5 // of the calls of bpf(2): two maps are made before, and asked for their IDs
	for n := first; n < first+2; n++ {
		add := call{verb: "ADD", who: attachment{"net", "c", "eth0"}, root: newRoot(t), maps: created}
		at, _, a, err := trace.Run(add.command(), n, func(nr uint64) bool { return nr == unix.SYS_BPF }, func(int) error {
			owner, _ := readTree(t, add.root).owners()
			name := []string{"calls_", "policy_"}[n-first]
			return os.Mkdir(filepath.Join(add.root, node.Globals, name+owner[add.who.path()]), 0o700)
		})
		testns.Must(t, err)
		a.WantError(t, fmt.Sprint("ADD at ", at), 106, "pinning the map", "file exists")
		node.NothingLeft(t, add.root)
	}
}

// fewFiles returns the most open files with which the verb fails with the code. How
// many that are depends on those that the Go runtime opens for itself.
func fewFiles(t *testing.T, verb string, code uint) plugintest.Limits {
	t.Helper()
	for files := uint64(16); files > 3; files-- {
		c := call{verb: "ADD", who: attachment{"net", "c", "eth0"}, root: newRoot(t), maps: created}
		c.succeed(t)
		if verb == "ADD" {
			c.who.container = "another"
		}
		few := plugintest.Limits{Files: files}
		a, err := c.as(verb).tryWithin(few)
		testns.Must(t, err)
		if e, err := a.Error(); a.Status == 1 && err == nil && e.Code == code {
			return few
		}
	}
	t.Fatalf("%s with few files: got no error with the code %d, want one", verb, code)
	return plugintest.Limits{}
}

// withoutStale returns the tree without what an attachment that could not be
// undone leaves, which hinders nobody and goes with its DEL.
func (t tree) withoutStale(a attachment) tree {
	if owner, _ := t.owners(); owner[a.path()] != "" {
		return t
	}
	return t.without([]string{"cni/scratch", "cni/attachments/" + a.network + "/" + a.container})
}
