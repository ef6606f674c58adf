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
	"time"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

const stranger = 4321 // a user that is not root

func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func TestFaultsOfTheRoot(t *testing.T) {
	for _, f := range []fault{
		{
			name: "a tmpfs over the bpffs", check: "root", status: Failure, says: "mounts are stacked there", cure: "umount ROOT",
			make: func(r *rig) { testns.Mount(r.t, "tmpfs", r.Root, "") },
		},
		{
			name: "a second bpffs over the first", check: "root", status: Failure, says: "bpf (/) over bpf (/)", cure: "umount ROOT",
			make: func(r *rig) { testns.Mount(r.t, "bpf", r.Root, "") },
		},
		{
			name: "another file system", check: "root", status: Failure, says: "another file system is mounted there", cure: "umount ROOT",
			make: func(r *rig) { r.Root = r.t.TempDir(); testns.Mount(r.t, "tmpfs", r.Root, "") },
		},
		{
			name: "a file", check: "root", status: Failure, says: "not a directory", cure: "rm ROOT",
			make: func(r *rig) {
				r.Root = filepath.Join(r.t.TempDir(), "file")
				if err := os.WriteFile(r.Root, nil, 0o600); err != nil {
					r.t.Fatal(err)
				}
			},
		},
		{
			name: "a directory with something in it", check: "root", status: Failure, says: "not empty", cure: "ls -A ROOT",
			make: func(r *rig) { r.Root = r.t.TempDir(); mkdir(r.t, filepath.Join(r.Root, "something")) },
			mend: func(r *rig) { remove(r.t, filepath.Join(r.Root, "something")) },
		},
		{
			name: "read-only mount", check: "root", status: Failure, says: "read-only",
			cure: "mount -o remount,rw ROOT && mount -o remount,bind,rw ROOT",
			make: func(r *rig) { remount(r.t, r.Root, syscall.MS_BIND|syscall.MS_RDONLY) },
		},
		{
			name: "read-only file system", check: "root", status: Failure, says: "read-only",
			cure: "mount -o remount,rw ROOT && mount -o remount,bind,rw ROOT",
			make: func(r *rig) { remount(r.t, r.Root, syscall.MS_RDONLY); remount(r.t, r.Root, syscall.MS_BIND) },
		},
		{
			name: "fallback", check: "root", status: Warning, says: "the fallback is used", cure: "umount /sys/fs/bpf",
			make: func(r *rig) { r.Root = ""; testns.Mount(r.t, "tmpfs", bpffs.DefaultRoot, "") },
		},
		{
			name: "private", check: "propagation", status: Warning, says: "the mount is private", cure: "mount --make-shared ROOT",
			make: func(r *rig) { propagate(r.t, r.Root, syscall.MS_PRIVATE) },
		},
		{
			name: "slave", check: "propagation", status: Warning, says: "the mount is a slave", cure: "mount --make-shared ROOT",
			make: func(r *rig) { propagate(r.t, r.Root, syscall.MS_SLAVE) },
		},
		{
			name: "nothing mounted, below a private mount", check: "propagation", status: Warning,
			says: "the mount will be private", cure: "mount --make-shared ",
			make: func(r *rig) {
				dir := r.t.TempDir()
				testns.Bind(r.t, dir, dir)
				r.Root = filepath.Join(dir, "bpf")
			},
			mend: func(r *rig) { typed(r.t, "mount --make-shared "+filepath.Dir(r.Root)) },
		},
	} {
		t.Run(f.name, f.test)
	}
}

func remount(t *testing.T, path string, flags uintptr) {
	t.Helper()
	if err := syscall.Mount("", path, "", syscall.MS_REMOUNT|flags, ""); err != nil {
		t.Fatal(err)
	}
}

func propagate(t *testing.T, path string, flag uintptr) {
	t.Helper()
	if flag == syscall.MS_SLAVE { // which only one of several that are shared can be
		testns.Bind(t, path, t.TempDir())
	}
	if err := syscall.Mount("", path, "", flag, ""); err != nil {
		t.Fatal(err)
	}
}

func TestUnsafeDirectories(t *testing.T) {
	for _, f := range []fault{
		{
			name: "root of another user", says: "ROOT belongs to user 4321", cure: "chown root: ROOT",
			make: func(r *rig) { testns.Chown(r.t, r.Root, stranger) },
		},
		{
			name: "root for everybody, without the sticky bit", says: "ROOT has mode", cure: "chmod go-w ROOT",
			make: func(r *rig) { chmod(r.t, r.Root, 0o777) },
		},
		{
			name: "records of another user", says: "ROOT/cni belongs to user 4321", cure: "chown root: ROOT/cni",
			make: func(r *rig) { testns.Chown(r.t, r.records(), stranger) },
		},
		{
			name: "records that a group can write to", says: "ROOT/cni has mode", cure: "chmod go-w ROOT/cni",
			make: func(r *rig) { chmod(r.t, r.records(), 0o770) },
		},
		{
			name: "map directory for everybody, with the sticky bit", says: "MAPS has mode", cure: "chmod go-w MAPS",
			make: func(r *rig) { chmod(r.t, r.dir(r.t).Path(), 0o777|os.ModeSticky) },
		},
		{
			name: "map directory of another user", says: "MAPS belongs to user 4321", cure: "rm -r MAPS",
			make: func(r *rig) { testns.Chown(r.t, r.dir(r.t).Path(), stranger) },
		},
		{
			name: "a link instead of the map directory", says: "MAPS is not a directory", cure: "rm MAPS",
			make: func(r *rig) {
				maps := r.dir(r.t).Path()
				if err := os.Rename(maps, maps+"_away"); err != nil {
					r.t.Fatal(err)
				}
				if err := os.Symlink("globals_away", maps); err != nil {
					r.t.Fatal(err)
				}
			},
		},
	} {
		f.check, f.status = "directories", Failure
		fault := f.make
		f.make = func(r *rig) { r.hurry(); fault(r) }
		t.Run(f.name, f.test)
	}
}

// lost leaves the pod without its network namespace, beside another that is alive.
func (r *rig) lost() {
	r.hurry()
	unmount(r.t, r.netns)
	r.netns = "/proc/self/ns/net"
	r.add(r.t, bpffs.Attachment{Network: "net", ContainerID: "alive", IfName: "eth0"})
	r.cri.live = []string{"alive"}
}

func TestFaultsOfTheRecords(t *testing.T) {
	const collect = "bpffsctl gc --root ROOT --cri-socket SOCKET --yes"
	young := func(r *rig) { // the pods of a test are not as old as those that gc removes
		typed(r.t, strings.NewReplacer("ROOT", r.Root, "SOCKET", r.CRISocket).Replace(collect)+" --older-than 0s")
	}
	for _, f := range []fault{
		{
			name: "unreadable", check: "records", status: Failure, says: "cannot be read",
			cure: "flock ROOT/cni rm -r ROOT/cni/endpoints/ID",
			make: func(r *rig) {
				relink(r.t, "half/an-owner", r.records("endpoints", fmt.Sprintf("%05d", r.id), "owner"))
			},
		},
		{
			name: "not in the index", check: "records", status: Failure, says: "DEL and GC do not find 1 record",
			cure: "flock ROOT/cni sh -c 'mkdir -p ROOT/cni/attachments/net/c1 && ln -sfn ID ROOT/cni/attachments/net/c1/eth0'",
			make: func(r *rig) { remove(r.t, r.records("attachments/net/c1/eth0")) },
		},
		{
			name: "unknown layout", check: "records", status: Failure, says: "unknown layout", cure: "umount ROOT",
			make: func(r *rig) {
				if err := os.Rename(r.records("layout-1"), r.records("layout-2")); err != nil {
					r.t.Fatal(err)
				}
			},
		},
		{
			name: "a pin is missing", check: "pins", status: Warning, says: "1 recorded pin missing: MAPS/stats_ID",
			cure: "kubectl -n my-ns delete pod web-0",
			make: func(r *rig) { r.hurry(); remove(r.t, r.dir(r.t).LocalMapPath("stats_", r.id)) },
			mend: func(r *rig) { r.del(r.t, r.pod); r.add(r.t, r.pod) },
		},
		{
			name: "the network namespace is gone", check: "network-namespaces", status: Warning,
			says: "1 endpoint whose network namespace is gone: ID of my-ns/web-0", cure: collect,
			make: func(r *rig) { remains := r.netns; r.lost(); remove(r.t, remains) },
			mend: young,
		},
		{
			name: "only the file of the network namespace is left", check: "network-namespaces", status: Warning,
			says: "1 endpoint whose network namespace is gone", cure: collect,
			make: (*rig).lost,
			mend: young,
		},
		{
			name: "scratch", check: "leftovers", status: Warning, says: "killed",
			cure: "flock ROOT/cni rm -r ROOT/cni/scratch",
			make: func(r *rig) { relink(r.t, "net/c2/eth0", r.records("scratch/owner")) },
		},
		{
			name: "an entry that no record confirms", check: "leftovers", status: Warning, says: "1 entry in the index that no record confirms",
			cure: "flock ROOT/cni rm -r ROOT/cni/attachments/net/c2/eth0",
			make: func(r *rig) { relink(r.t, "00001", r.records("attachments/net/c2/eth0")) },
			mend: func(r *rig) { // then the empty directory
				for range 2 {
					typed(r.t, of(r.run(r.t), "leftovers")[0].Cure)
				}
			},
		},
		{
			name: "an empty directory of a container", check: "leftovers", status: Warning, says: "1 empty directory in the index",
			cure: "flock ROOT/cni rmdir ROOT/cni/attachments/net/c2",
			make: func(r *rig) { mkdir(r.t, r.records("attachments/net/c2")) },
		},
		{
			name: "a strange name, and many of them", check: "leftovers", status: Warning, says: "7 empty directories in the index",
			cure: `flock ROOT/cni rmdir 'ROOT/cni/attachments/net/a'\''b`,
			make: func(r *rig) {
				for i := range 7 {
					mkdir(r.t, r.records("attachments/net", fmt.Sprintf("a'b %d", i)))
				}
			},
			mend: func(r *rig) {
				for range 2 {
					typed(r.t, cutAgain(of(r.run(r.t), "leftovers")[0].Cure))
				}
			},
		},
		{
			name: "a pin at a path of ours", check: "foreign-pins", status: Warning, says: "1 pin that no record owns, with a name of ours: MAPS/stats_00001",
			cure: "rm -r MAPS/stats_00001",
			make: func(r *rig) { r.pin(r.t, "stats_00001") },
		},
		{
			name: "all IDs taken", check: "endpoint-ids", status: Failure, says: "65535 of 65535", cure: collect,
			make: func(r *rig) { r.fill(r.t, bpffs.MaxEndpoints) },
			mend: func(r *rig) { r.empty(r.t) },
		},
	} {
		t.Run(f.name, f.test)
	}
}

func unmount(t *testing.T, path string) {
	t.Helper()
	if err := syscall.Unmount(path, syscall.MNT_DETACH); err != nil {
		t.Fatal(err)
	}
}

func cutAgain(cure string) string {
	line, _, _ := strings.Cut(cure, ", and again")
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

func TestLocks(t *testing.T) {
	for _, row := range []struct {
		name, role, says string
		where            func(r *rig) string
	}{
		{"the records", "hold records", "keeps the records locked", func(r *rig) string { return r.Root }},
		{"a directory to be mounted on", "hold lock", "no bpffs can be mounted", func(r *rig) string {
			r.Root = r.t.TempDir()
			return r.Root
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := newRig(t)
			r.hurry()
			kill := testns.Start(t, row.role, envPath+"="+row.where(r))
			found := faulty(of(r.run(t), "lock"))
			if len(found) != 1 || found[0].Status != Failure || !strings.Contains(found[0].Detail, row.says) {
				t.Fatalf("lock: %+v; wanted one failure with %q", found, row.says)
			}
			_, pid, ok := strings.Cut(found[0].Cure, "kill ")
			if name, err := os.ReadFile("/proc/" + pid + "/cmdline"); !ok || !strings.Contains(string(name), "exe") {
				t.Errorf("the cure %q does not end the process that holds the lock, but %q (%v)", found[0].Cure, name, err)
			}
			kill()
			if bad := faulty(of(r.run(t), "lock")); len(bad) > 0 {
				t.Errorf("lock after its holder was killed: %+v", bad)
			}
		})
	}
}

// relink makes name a symbolic link to target, whatever link it was before.
func relink(t *testing.T, target, name string) {
	t.Helper()
	mkdir(t, filepath.Dir(name))
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	if err := os.Symlink(target, name); err != nil {
		t.Fatal(err)
	}
}

// What is missing only for a moment, because a pod is just being started or
// deleted, is no fault.
func TestPassingFaults(t *testing.T) {
	for _, row := range []struct {
		name string
		then func(r *rig)
	}{
		{"the pin is made", func(r *rig) { r.pin(r.t, bpffs.LocalMapName("stats_", r.id)) }},
		{"the endpoint is released", func(r *rig) { r.del(r.t, r.pod) }},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := newRig(t)
			r.Patience = time.Second
			remove(t, r.dir(t).LocalMapPath("stats_", r.id))
			unmount(t, r.netns)
			checks := []string{"pins"}
			if row.name == "the endpoint is released" {
				checks = append(checks, "network-namespaces")
			}
			time.AfterFunc(300*time.Millisecond, func() { row.then(r) })
			found := Run(t.Context(), r.Options)
			for _, check := range checks {
				if bad := faulty(of(found, check)); len(bad) > 0 {
					t.Errorf("%s: %+v", check, bad)
				}
			}
		})
	}
}
