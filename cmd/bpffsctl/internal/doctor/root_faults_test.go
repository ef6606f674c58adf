package doctor

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

const stranger = 4321 // a user that is not root

func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	testns.Must(t, os.Chmod(path, mode))
}

func remove(t *testing.T, path string) {
	t.Helper()
	testns.Must(t, os.Remove(path))
}

func TestFaultsOfTheRoot(t *testing.T) {
	for _, f := range []fault{
		{
			name: "a tmpfs over the bpffs", check: "root", status: Failure, says: "mounts are stacked there", fix: "umount ROOT",
			make: func(r *rig) { testns.Mount(r.t, "tmpfs", r.Root, "") },
		},
		{
			name: "a second bpffs over the first", check: "root", status: Failure, says: "bpf (/) over bpf (/)", fix: "umount ROOT",
			make: func(r *rig) { testns.Mount(r.t, "bpf", r.Root, "") },
		},
		{
			name: "another file system", check: "root", status: Failure, says: "another file system is mounted there", fix: "umount ROOT",
			make: func(r *rig) { r.Root = r.t.TempDir(); testns.Mount(r.t, "tmpfs", r.Root, "") },
		},
		{
			name: "a file", check: "root", status: Failure, says: "not a directory", fix: "rm ROOT",
			make: func(r *rig) {
				r.Root = filepath.Join(r.t.TempDir(), "file")
				if err := os.WriteFile(r.Root, nil, 0o600); err != nil {
					r.t.Fatal(err)
				}
			},
		},
		{
			name: "a directory with something in it", check: "root", status: Failure, says: "not empty", fix: "ls -A ROOT",
			make:   func(r *rig) { r.Root = r.t.TempDir(); mkdir(r.t, filepath.Join(r.Root, "something")) },
			repair: func(r *rig) { remove(r.t, filepath.Join(r.Root, "something")) },
		},
		{
			name: "read-only mount", check: "root", status: Failure, says: "read-only",
			fix:  "mount -o remount,rw ROOT && mount -o remount,bind,rw ROOT",
			make: func(r *rig) { remount(r.t, r.Root, syscall.MS_BIND|syscall.MS_RDONLY) },
		},
		{
			name: "read-only file system", check: "root", status: Failure, says: "read-only",
			fix:  "mount -o remount,rw ROOT && mount -o remount,bind,rw ROOT",
			make: func(r *rig) { remount(r.t, r.Root, syscall.MS_RDONLY); remount(r.t, r.Root, syscall.MS_BIND) },
		},
		{
			name: "fallback", check: "root", status: Warning, says: "the fallback is used", fix: "umount /sys/fs/bpf",
			make: func(r *rig) { r.Root = ""; testns.Mount(r.t, "tmpfs", bpffs.DefaultRoot, "") },
		},
		{
			name: "private", check: "propagation", status: Warning, says: "the mount is private", fix: "mount --make-shared ROOT",
			make: func(r *rig) { propagate(r.t, r.Root, syscall.MS_PRIVATE) },
		},
		{
			name: "slave", check: "propagation", status: Warning, says: "the mount is a slave", fix: "mount --make-shared ROOT",
			make: func(r *rig) { propagate(r.t, r.Root, syscall.MS_SLAVE) },
		},
		{
			name: "nothing mounted, below a private mount", check: "propagation", status: Warning,
			says: "the mount will be private", fix: "mount --make-shared ",
			make: func(r *rig) {
				dir := r.t.TempDir()
				testns.Bind(r.t, dir, dir)
				r.Root = filepath.Join(dir, "bpf")
			},
			repair: func(r *rig) { typed(r.t, "mount --make-shared "+filepath.Dir(r.Root)) },
		},
	} {
		t.Run(f.name, f.test)
	}
}

func remount(t *testing.T, path string, flags uintptr) {
	t.Helper()
	testns.Must(t, syscall.Mount("", path, "", syscall.MS_REMOUNT|flags, ""))
}

func propagate(t *testing.T, path string, flag uintptr) {
	t.Helper()
	if flag == syscall.MS_SLAVE { // which only one of several that are shared can be
		testns.Bind(t, path, t.TempDir())
	}
	testns.Must(t, syscall.Mount("", path, "", flag, ""))
}

func TestUnsafeDirectories(t *testing.T) {
	for _, f := range []fault{
		{
			name: "root of another user", says: "ROOT belongs to user 4321", fix: "chown root: ROOT",
			make: func(r *rig) { testns.Chown(r.t, r.Root, stranger) },
		},
		{
			name: "root for everybody, without the sticky bit", says: "ROOT has mode", fix: "chmod go-w ROOT",
			make: func(r *rig) { chmod(r.t, r.Root, 0o777) },
		},
		{
			name: "records of another user", says: "ROOT/cni belongs to user 4321", fix: "chown root: ROOT/cni",
			make: func(r *rig) { testns.Chown(r.t, r.records(), stranger) },
		},
		{
			name: "records that a group can write to", says: "ROOT/cni has mode", fix: "chmod go-w ROOT/cni",
			make: func(r *rig) { chmod(r.t, r.records(), 0o770) },
		},
		{
			name: "map directory for everybody, with the sticky bit", says: "MAPS has mode", fix: "chmod go-w MAPS",
			make: func(r *rig) { chmod(r.t, r.dir(r.t).Path(), 0o777|os.ModeSticky) },
		},
		{
			name: "map directory of another user", says: "MAPS belongs to user 4321", fix: "rm -r MAPS",
			make: func(r *rig) { testns.Chown(r.t, r.dir(r.t).Path(), stranger) },
		},
		{
			name: "a link instead of the map directory", says: "MAPS is not a directory", fix: "rm MAPS",
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

// The way to the root belongs to whoever can change where it leads.
func TestUnsafeWay(t *testing.T) {
	const instead = ", or configure a bpfRoot in a directory that only root can change"
	for _, row := range []struct {
		name      string
		make      func(r *rig, above string)
		says, fix string // ABOVE stands for the directory in which the root is
		mounted   bool
	}{
		{
			"a directory of another user", func(r *rig, above string) { testns.Chown(r.t, above, stranger) },
			"ABOVE belongs to user 4321", "chown -h root ABOVE", true,
		},
		{
			"a directory of another user, before anything is mounted", func(r *rig, above string) { testns.Chown(r.t, above, stranger) },
			"ABOVE belongs to user 4321", "chown -h root ABOVE", false,
		},
		{
			"a directory for everybody", func(r *rig, above string) { chmod(r.t, above, 0o777) },
			"ABOVE has mode drwxrwxrwx", "chmod go-w ABOVE", true,
		},
		{
			"a directory that a group can write to", func(r *rig, above string) { chmod(r.t, above, 0o770) },
			"ABOVE has mode drwxrwx---", "chmod go-w ABOVE", false,
		},
		{
			"a mount point of another user in a directory for everybody", func(r *rig, above string) {
				unmount(r.t, r.Root)
				testns.Chown(r.t, r.Root, stranger)
				chmod(r.t, above, 0o777|os.ModeSticky)
				testns.Mount(r.t, "bpf", r.Root, "mode=0700")
				r.id = r.add(r.t, r.pod)
			},
			"the mount point ROOT belongs to user 4321", "umount ROOT && chown root ROOT", true,
		},
		{
			"a link of another user", func(r *rig, _ string) {
				link := filepath.Join(r.t.TempDir(), "link")
				testns.Must(r.t, os.Symlink(r.Root, link))
				testns.Chown(r.t, link, stranger)
				r.Root = link
			},
			"ROOT belongs to user 4321", "chown -h root ROOT", true,
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := newRig(t)
			r.hurry()
			above := t.TempDir()
			r.Root = filepath.Join(above, "bpf")
			mkdir(t, r.Root)
			if row.mounted {
				testns.Mount(t, "bpf", r.Root, "mode=0700")
				r.share(t, r.Root)
				r.id = r.add(t, r.pod)
			}
			if bad := faulty(of(r.run(t), "directories")); len(bad) > 0 {
				t.Fatalf("before the fault: %+v", bad)
			}
			row.make(r, above)
			names := strings.NewReplacer("ABOVE", above, "ROOT", r.Root)
			all := r.run(t)
			found := faulty(of(all, "directories"))
			if len(found) != 1 || found[0].Status != Failure || !strings.Contains(found[0].Detail, names.Replace(row.says)) {
				t.Fatalf("directories: got %+v, want one failure with %q", found, names.Replace(row.says))
			}
			fix := names.Replace(row.fix)
			if !strings.HasSuffix(found[0].Fix, fix+instead) {
				t.Errorf("directories: got the fix %q, want %q", found[0].Fix, fix+instead)
			}
			if records := of(all, "records"); row.mounted && !strings.Contains(records[0].Detail, "1 endpoint") {
				t.Errorf("records: got %+v, want them looked at nevertheless", records)
			}
			typed(t, fix)
			if bad := faulty(of(r.run(t), "directories")); len(bad) > 0 {
				t.Errorf("directories after the fix: %+v", bad)
			}
		})
	}
}

// What is mounted below the root hides what belongs there.
func TestMountedBelow(t *testing.T) {
	for _, row := range []struct{ where, fsType string }{
		{"cni", "tmpfs"},
		{"cni", "bpf"},
		{"cni/endpoints", "tmpfs"},
		{"cni/attachments", "ramfs"},
		{"tc", "tmpfs"},
		{"tc/globals", "tmpfs"},
		{"tc/globals", "bpf"},
	} {
		t.Run(row.fsType+" on "+row.where, func(t *testing.T) {
			fault{
				check: "directories", status: Failure, says: "something is mounted there", fix: "umount ROOT/" + row.where,
				make: func(r *rig) { r.hurry(); testns.Mount(r.t, row.fsType, filepath.Join(r.Root, row.where), "") },
			}.test(t)
		})
	}
}

// A bpffs that is bound onto itself is one bpffs.
func TestBoundOntoItself(t *testing.T) {
	for _, times := range []int{1, 2, 5} {
		t.Run(fmt.Sprintf("%d times", times), func(t *testing.T) {
			r := newRig(t)
			for range times {
				testns.Bind(t, r.Root, r.Root)
				r.share(t, r.Root)
			}
			if bad := faulty(r.run(t)); len(bad) > 0 {
				t.Errorf("got %+v, want no faults", bad)
			}
		})
	}
}
