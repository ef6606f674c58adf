package reliability

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// TestRefused: the kernel refuses something. That is a clear error, and the node
// is as before.
func TestRefused(t *testing.T) {
	noMount := limits{Drop: []uintptr{unix.CAP_SYS_ADMIN}}
	noBPF := limits{Fail: map[uint32]unix.Errno{unix.SYS_MOUNT: unix.ENODEV, unix.SYS_FSOPEN: unix.ENODEV}}
	noMaps := func(errno unix.Errno) limits { return limits{Fail: map[uint32]unix.Errno{unix.SYS_BPF: errno}} }
	fails := func(nr uint32, errno unix.Errno) limits { return limits{Fail: map[uint32]unix.Errno{nr: errno}} }
	for _, tt := range []struct {
		name   string
		limits limits
		fresh  bool // nothing is mounted before
		verb   string
		code   uint
		says   string
	}{
		{"ADD may not mount", noMount, true, "ADD", 100, "mounting needs CAP_SYS_ADMIN"},
		{"STATUS may not mount", noMount, true, "STATUS", 50, "mounting needs CAP_SYS_ADMIN"},
		{"ADD on a kernel without bpf", noBPF, true, "ADD", 100, "CONFIG_BPF_SYSCALL"},
		{"STATUS on a kernel without bpf", noBPF, true, "STATUS", 50, "CONFIG_BPF_SYSCALL"},
		{"ADD may not create maps", limits{Drop: []uintptr{unix.CAP_BPF, unix.CAP_SYS_ADMIN}}, false, "ADD", 106, "it needs CAP_BPF"},
		{"ADD with maps filtered", noMaps(unix.EPERM), false, "ADD", 106, "it needs CAP_BPF"},
		{"ADD without memory for maps", noMaps(unix.ENOMEM), false, "ADD", 106, "no memory for it"},
		{"ADD with bpf(2) missing", noMaps(unix.ENOSYS), false, "ADD", 106, "function not implemented"},
		{"ADD without memory for directories", fails(unix.SYS_MKDIRAT, unix.ENOMEM), false, "ADD", 999, "cannot allocate memory"},
		{"ADD without memory for links", fails(unix.SYS_SYMLINKAT, unix.ENOMEM), false, "ADD", 999, "cannot allocate memory"},
		{"ADD that cannot rename", fails(unix.SYS_RENAMEAT, unix.EIO), false, "ADD", 999, "input/output error"},
		{"DEL that cannot remove", fails(unix.SYS_UNLINKAT, unix.EPERM), false, "DEL", 108, "operation not permitted"},
		{"GC that cannot remove", fails(unix.SYS_UNLINKAT, unix.EPERM), false, "GC", 108, "operation not permitted"},
		{"ADD that cannot lock", fails(unix.SYS_FLOCK, unix.ENOLCK), false, "ADD", 999, "no locks available"},
		{"ADD with few files", limits{Files: 8}, false, "ADD", 999, "too many open files"},
		{"DEL with few files", limits{Files: 7}, false, "DEL", 999, "too many open files"},
		{"DEL with too few files to reach the pins", limits{Files: 8}, false, "DEL", 108, "too many open files"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			root := newRoot(t)
			other := call{verb: "ADD", who: attachment{"net", "old", "eth0"}, root: root, maps: created}
			var foreign []string
			if !tt.fresh {
				other.succeed(t)
				foreign = []string{globals + "/theirs"}
				pin(t, filepath.Join(root, foreign[0]))
			}
			before, err := readTree(root)
			must(t, err)
			c := call{verb: tt.verb, who: attachment{"net", "new", "eth0"}, root: root, maps: created}
			if tt.verb == "DEL" {
				c.who = other.who
			}
			a, err := c.tryWith(tt.limits)
			must(t, err)
			c.failed(t, a, tt.code, tt.says)
			after, err := readTree(root)
			must(t, err)
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

// withoutStale returns the tree without what an attachment that could not be
// undone leaves, which hinders nobody and goes with its DEL.
func (t tree) withoutStale(a attachment) tree {
	if owner, _ := t.owners(); owner[a.path()] != "" {
		return t
	}
	return t.without([]string{"cni/scratch", "cni/attachments/" + a.network + "/" + a.container})
}
