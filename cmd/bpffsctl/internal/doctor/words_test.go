package doctor

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

// A command that takes something away comes after a look and after what keeps it, and
// says what it takes.
func TestHarmComesLast(t *testing.T) {
	for _, row := range []struct {
		name, check string
		make        func(r *rig)
		order       []string // ROOT stands for that of the rig
	}{
		{
			"a map directory of another user", "directories", func(r *rig) { testns.Chown(r.t, r.Root+"/tc", stranger) },
			[]string{"ls -lanR ROOT/tc", "chown root: ROOT/tc", "3 pins of 3 endpoints", "rm -r ROOT/tc"},
		},
		{
			"records of another user", "directories", func(r *rig) { testns.Chown(r.t, r.Root+"/cni", stranger) },
			[]string{"ls -lanR ROOT/cni", "chown root: ROOT/cni", "3 records, whose pins stay", "rm -r ROOT/cni"},
		},
		{
			"a second bpffs, that is used", "root", func(r *rig) {
				testns.Mount(r.t, "bpf", r.Root, "mode=0700")
				r.add(r.t, r.pod)
			},
			[]string{"findmnt ROOT", "1 pin of 1 endpoint", "umount ROOT"},
		},
		{
			"a record that cannot be read", "records", func(r *rig) { relink(r.t, "x", r.records("endpoints", fmt.Sprintf("%05d", r.id), "owner")) },
			[]string{"ls -la ROOT/cni/endpoints/", "only if its pod is gone", "rm -r ROOT/cni/endpoints/"},
		},
		{
			"pins of another", "foreign-pins", func(r *rig) { r.pin(r.t, "stats_00001") },
			[]string{"bpftool map show pinned ROOT/tc/globals/stats_00001", "only if nobody uses it", "rm -r ROOT/tc/globals/stats_00001"},
		},
		{
			"another file system", "root", func(r *rig) { r.Root = r.t.TempDir(); testns.Mount(r.t, "tmpfs", r.Root, "") },
			[]string{"findmnt ROOT", "another bpfRoot", "umount ROOT"},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := newRig(t)
			r.hurry()
			for i := range 2 {
				r.add(t, bpffs.Attachment{Network: "net", ContainerID: fmt.Sprintf("more%d", i), IfName: "eth0"})
			}
			row.make(r)
			found := faulty(of(r.run(t), row.check))
			if len(found) == 0 {
				t.Fatal("nothing is found")
			}
			rest := found[0].Fix
			for _, want := range row.order {
				_, after, ok := strings.Cut(rest, strings.ReplaceAll(want, "ROOT", r.Root))
				if !ok {
					t.Fatalf("got the fix %q, want %q in this order", found[0].Fix, row.order)
				}
				rest = after
			}
		})
	}
}

// Each command can be pasted, whatever a directory is called.
func TestFixesCanBePasted(t *testing.T) {
	for _, name := range []string{"with space", "it's", "$(touch x)", "*?[a]", `"quoted" \ ü`} {
		t.Run(fmt.Sprintf("%q", name), func(t *testing.T) {
			r := newRig(t)
			root := filepath.Join(t.TempDir(), name)
			mkdir(t, root)
			testns.Mount(t, "bpf", root, "mode=0700")
			r.Root = root
			r.add(t, r.pod)
			testns.Chown(t, root+"/tc", stranger)
			found := faulty(of(r.run(t), "directories"))
			_, command, _ := strings.Cut(found[0].Fix, "keep it: ")
			command, _, _ = strings.Cut(command, "; or")
			for _, shell := range []string{"bash", "sh"} {
				testns.Chown(t, root+"/tc", stranger)
				if out, err := exec.Command(shell, "-c", command).CombinedOutput(); err != nil && (shell == "bash" || !strings.Contains(command, "$'")) {
					t.Errorf("%s: %s: %v: %s", shell, command, err, out)
				}
				if fi, err := os.Stat(root + "/tc"); err != nil || ownerOf(fi) != 0 && (shell == "bash" || !strings.Contains(command, "$'")) {
					t.Errorf("%s: %s: it does not belong to root (%v)", shell, command, err)
				}
			}
		})
	}
}
