package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/testcri"
	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

// lost leaves the pod without its network namespace, beside another that is alive.
func (r *rig) lost() {
	r.hurry()
	unmount(r.t, r.netns)
	r.netns = "/proc/self/ns/net"
	r.add(r.t, bpffs.Attachment{Network: "net", ContainerID: "alive", IfName: "eth0"})
	r.cri.Set(testcri.Pod{ID: "alive"})
}

func TestFaultsOfTheRecords(t *testing.T) {
	const collect = "bpffsctl gc --root ROOT --cri-socket SOCKET --yes"
	young := func(r *rig) { // the pods of a test are not as old as those that gc removes
		typed(r.t, strings.NewReplacer("ROOT", r.Root, "SOCKET", r.CRISocket).Replace(collect)+" --older-than 0s")
	}
	for _, f := range []fault{
		{
			name: "unreadable", check: "records", status: Failure, says: "cannot be read",
			fix: "flock ROOT/cni rm -r ROOT/cni/endpoints/ID",
			make: func(r *rig) {
				relink(r.t, "half/an-owner", r.records("endpoints", fmt.Sprintf("%05d", r.id), "owner"))
			},
		},
		{
			name: "not in the index", check: "records", status: Failure, says: "DEL and GC do not find 1 record",
			fix:  "flock ROOT/cni sh -c 'mkdir -p ROOT/cni/attachments/net/c1 && ln -sfn ID ROOT/cni/attachments/net/c1/eth0'",
			make: func(r *rig) { remove(r.t, r.records("attachments/net/c1/eth0")) },
		},
		{
			name: "unknown layout", check: "records", status: Failure, says: "unknown layout", fix: "umount ROOT",
			make: func(r *rig) {
				if err := os.Rename(r.records("layout-1"), r.records("layout-2")); err != nil {
					r.t.Fatal(err)
				}
			},
		},
		{
			name: "a pin is missing", check: "pins", status: Warning, says: "1 recorded pin missing: MAPS/stats_ID",
			fix:    "kubectl -n my-ns delete pod web-0",
			make:   func(r *rig) { r.hurry(); remove(r.t, r.dir(r.t).LocalMapPath("stats_", r.id)) },
			repair: func(r *rig) { r.del(r.t, r.pod); r.add(r.t, r.pod) },
		},
		{
			name: "a directory is where a map was", check: "pins", status: Warning, says: "1 recorded pin replaced: MAPS/stats_ID",
			fix: "kubectl -n my-ns delete pod web-0",
			make: func(r *rig) {
				r.hurry()
				pin := r.dir(r.t).LocalMapPath("stats_", r.id)
				remove(r.t, pin)
				mkdir(r.t, pin)
			},
			repair: func(r *rig) { r.del(r.t, r.pod); r.add(r.t, r.pod) },
		},
		{
			name: "the network namespace is gone", check: "network-namespaces", status: Warning,
			says: "1 endpoint whose network namespace is gone: ID of my-ns/web-0", fix: collect,
			make:   func(r *rig) { remains := r.netns; r.lost(); remove(r.t, remains) },
			repair: young,
		},
		{
			name: "only the file of the network namespace is left", check: "network-namespaces", status: Warning,
			says: "1 endpoint whose network namespace is gone", fix: collect,
			make:   (*rig).lost,
			repair: young,
		},
		{
			name: "scratch", check: "leftovers", status: Warning, says: "killed",
			fix:  "flock ROOT/cni rm -r ROOT/cni/scratch",
			make: func(r *rig) { relink(r.t, "net/c2/eth0", r.records("scratch/owner")) },
		},
		{
			name: "an entry that no record confirms", check: "leftovers", status: Warning, says: "1 entry in the index that no record confirms",
			fix:  "flock ROOT/cni rm -r ROOT/cni/attachments/net/c2/eth0",
			make: func(r *rig) { relink(r.t, "00001", r.records("attachments/net/c2/eth0")) },
			repair: func(r *rig) { // then the empty directory
				for range 2 {
					typed(r.t, of(r.run(r.t), "leftovers")[0].Fix)
				}
			},
		},
		{
			name: "an empty directory of a container", check: "leftovers", status: Warning, says: "1 empty directory in the index",
			fix:  "flock ROOT/cni rmdir ROOT/cni/attachments/net/c2",
			make: func(r *rig) { mkdir(r.t, r.records("attachments/net/c2")) },
		},
		{
			name: "a strange name, and many of them", check: "leftovers", status: Warning, says: "7 empty directories in the index",
			fix: `flock ROOT/cni rmdir 'ROOT/cni/attachments/net/a'\''b`,
			make: func(r *rig) {
				for i := range 7 {
					mkdir(r.t, r.records("attachments/net", fmt.Sprintf("a'b %d", i)))
				}
			},
			repair: func(r *rig) {
				for range 2 {
					typed(r.t, cutAgain(of(r.run(r.t), "leftovers")[0].Fix))
				}
			},
		},
		{
			name: "a pin at a path of ours", check: "foreign-pins", status: Warning, says: "1 pin with a name of ours that no record owns: MAPS/stats_00001",
			fix:  "rm -r MAPS/stats_00001",
			make: func(r *rig) { r.pin(r.t, "stats_00001") },
		},
		{
			name: "all IDs taken", check: "endpoint-ids", status: Failure, says: "65535 of 65535", fix: collect,
			make:   func(r *rig) { r.fill(r.t, bpffs.MaxEndpoints) },
			repair: func(r *rig) { r.empty(r.t) },
		},
	} {
		t.Run(f.name, f.test)
	}
}

func unmount(t *testing.T, path string) {
	t.Helper()
	testns.Must(t, syscall.Unmount(path, syscall.MNT_DETACH))
}

func cutAgain(fix string) string {
	line, _, _ := strings.Cut(fix, ", and again")
	return line
}

// fill takes IDs, as far as Free counts them, until n are in use.
func (r *rig) fill(t *testing.T, n int) {
	t.Helper()
	for id := 1; id <= n; id++ {
		if err := os.Mkdir(r.records("endpoints", fmt.Sprintf("%05d", id)), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			t.Fatal(err)
		}
	}
}

// empty gives back what fill took.
func (r *rig) empty(t *testing.T) {
	t.Helper()
	for id := 1; id <= bpffs.MaxEndpoints; id++ {
		if id != int(r.id) {
			remove(t, r.records("endpoints", fmt.Sprintf("%05d", id)))
		}
	}
}

// relink makes name a symbolic link to target, whatever link it was before.
func relink(t *testing.T, target, name string) {
	t.Helper()
	mkdir(t, filepath.Dir(name))
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	testns.Must(t, os.Symlink(target, name))
}
