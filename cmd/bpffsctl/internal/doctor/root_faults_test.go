package doctor

import (
	"os"
	"path/filepath"
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
