package reliability

import (
	"os"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/test/internal/node"
	"github.com/cni-bpffs/cni-bpffs/test/internal/trace"
)

// TestMountedMeanwhile: somebody who does not take the lock mounts or unmounts
// just when the plugin mounts.
func TestMountedMeanwhile(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(root string) error
		nth  int // of the calls from move_mount(2) on, at which it is done
		says string
	}{
		{"a bpffs just before", func(root string) error { return syscall.Mount("bpf", root, "bpf", 0, "") }, 1, "stacked"},
		{"a tmpfs just after", func(root string) error { return syscall.Mount("tmpfs", root, "tmpfs", 0, "") }, 2, "stacked"},
		{"unmounted just after", func(root string) error { return syscall.Unmount(root, syscall.MNT_DETACH) }, 2, "unmounted just after"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			add := call{verb: "ADD", who: attachment{"net", "c", "eth0"}, root: newRoot(t), maps: created}
			mounting := false
			_, _, a, err := trace.Run(add.command(), tt.nth, func(nr uint64) bool {
				mounting = mounting || nr == unix.SYS_MOVE_MOUNT
				return mounting && trace.Any(nr)
			}, func(int) error { return tt.do(add.root) })
			testns.Must(t, err)
			a.WantError(t, add.String(), 100, tt.says, add.root)
		})
	}
}

// TestUnmountedAnywhere unmounts the bpffs at every system call of an ADD and of
// a DEL. Nothing is written to the directory that the bpffs covered, and the
// next ADD works.
func TestUnmountedAnywhere(t *testing.T) {
	for _, verb := range []string{"ADD", "DEL"} {
		t.Run(verb, func(t *testing.T) {
			t.Parallel()
			add := call{verb: "ADD", who: attachment{"net", "c", "eth0"}, root: newRoot(t), maps: created}
			for n, done := 1, false; !done; n++ {
				add.succeed(t)
				started := false
				at, _, a, err := trace.Run(add.as(verb).command(), n, func(nr uint64) bool {
					started = started || nr == unix.SYS_STATX || nr == unix.SYS_STATFS // the first look at the root
					return started && trace.Any(nr)
				}, func(int) error { return syscall.Unmount(add.root, syscall.MNT_DETACH) })
				testns.Must(t, err)
				if done = at.Nth == 0; done {
					t.Logf("%d stops", n-1)
				}
				node.Unmount(add.root)
				if covered, err := os.ReadDir(add.root); err != nil || len(covered) > 0 {
					t.Fatalf("in the directory beneath after %s, unmounted at %v: got %q (%v), want nothing: %+v", verb, at, covered, err, a)
				}
				if e, err := a.Error(); a.Status != 0 && err != nil {
					t.Errorf("%s, unmounted at %v: got %+v (%+v, %v), want a result or a CNI error", verb, at, a, e, err)
				}
			}
		})
	}
}
