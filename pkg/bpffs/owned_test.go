package bpffs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/cni-bpffs/cni-bpffs/internal/bpf"
	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

const stranger = 4321 // a user that is not root

// A fault makes a directory unsafe; path is there before, and something after.
type fault struct {
	name string
	make func(tb testing.TB, path string)
}

func faults() []fault {
	return []fault{
		{"of another user", func(tb testing.TB, path string) { tb.Helper(); testns.Chown(tb, path, stranger) }},
		{"group-writable", func(tb testing.TB, path string) { tb.Helper(); chmod(tb, path, 0o770) }},
		{"world-writable", func(tb testing.TB, path string) { tb.Helper(); chmod(tb, path, 0o702) }},
		{"sticky and world-writable", func(tb testing.TB, path string) { tb.Helper(); chmod(tb, path, 0o777|fs.ModeSticky) }},
		{"a file", func(tb testing.TB, path string) { tb.Helper(); moveAway(tb, path); pinAnyMap(tb, path) }},
		{"a link to a safe directory", func(tb testing.TB, path string) {
			tb.Helper()
			away := moveAway(tb, path)
			symlink(tb, filepath.Base(away), path)
		}},
		{"a link to nothing", func(tb testing.TB, path string) { tb.Helper(); moveAway(tb, path); symlink(tb, "nothing", path) }},
	}
}

func chmod(tb testing.TB, path string, mode fs.FileMode) {
	tb.Helper()
	testns.Must(tb, os.Chmod(path, mode))
}

func symlink(tb testing.TB, target, path string) {
	tb.Helper()
	testns.Must(tb, os.Symlink(target, path))
}

func moveAway(tb testing.TB, path string) (away string) {
	tb.Helper()
	away = path + "_away"
	testns.Must(tb, os.Rename(path, away))
	return away
}

// pinAnyMap pins a map at path, for bpffs has no other files.
func pinAnyMap(tb testing.TB, path string) {
	tb.Helper()
	m, err := bpf.CreateMap(bpf.MapAttr{Type: unix.BPF_MAP_TYPE_ARRAY, KeySize: 4, ValueSize: 4, MaxEntries: 1, Name: "any"})
	testns.Must(tb, err)
	defer m.Close()
	testns.Must(tb, bpf.Pin(m, path))
}

// snapshot describes everything below root, with modes and owners.
func snapshot(tb testing.TB, root string) []string {
	tb.Helper()
	var all []string
	for _, path := range tree(tb, root) {
		fi, err := os.Lstat(filepath.Join(root, path))
		testns.Must(tb, err)
		all = append(all, fmt.Sprintf("%s %v %d", path, fi.Mode(), fi.Sys().(*syscall.Stat_t).Uid))
	}
	return all
}

func TestUnsafeDirectories(t *testing.T) {
	pod := Attachment{"net", "pod", "eth0"}
	for _, row := range []struct {
		name   string
		unsafe []string
		call   func(e *Endpoints) error // e is open if the call is Release
	}{
		{"ADD", []string{"cni", "tc", "tc/globals"}, func(e *Endpoints) error {
			closeRecords(t, e)
			return add(t, mapsOf(e))
		}},
		{"Allocate", []string{"tc", "tc/globals"}, func(e *Endpoints) error {
			_, _, err := e.Allocate(Attachment{"net", "other", "eth0"}, "", "policy_")
			return err
		}},
		{"OpenEndpoints", []string{"cni"}, func(e *Endpoints) error {
			closeRecords(t, e)
			_, err := OpenEndpoints(t.Context(), mapsOf(e).Root())
			return err
		}},
		{"Release", []string{"tc", "tc/globals"}, func(e *Endpoints) error { return e.Release(pod) }},
	} {
		for _, dir := range row.unsafe {
			for _, fault := range faults() {
				t.Run(row.name+"/"+dir+"/"+fault.name, func(t *testing.T) {
					e := newEndpoints(t)
					pinAnyMap(t, mapsOf(e).LocalMapPath("policy_", allocate(t, e, pod, "policy_")))
					fault.make(t, filepath.Join(mapsOf(e).Root(), dir))
					before := snapshot(t, mapsOf(e).Root())
					if err := row.call(e); !errors.Is(err, ErrUnsafe) {
						t.Errorf("%s with %s %s: %v; want %v", row.name, dir, fault.name, err, ErrUnsafe)
					}
					if diff := cmp.Diff(before, snapshot(t, mapsOf(e).Root())); diff != "" {
						t.Errorf("%s with %s %s changed something (-before +after):\n%s", row.name, dir, fault.name, diff)
					}
				})
			}
		}
	}
}

func TestUnsafeRoots(t *testing.T) {
	for _, row := range []struct {
		name string
		mode fs.FileMode
		uid  int
		made string // by another user
		want error
	}{
		{name: "private", mode: 0o700},
		{name: "readable", mode: 0o755},
		{name: "sticky", mode: 0o777 | fs.ModeSticky},
		{name: "writable by all", mode: 0o777, want: ErrUnsafe},
		{name: "writable by the group", mode: 0o770, want: ErrUnsafe},
		{name: "sticky, another made cni", mode: 0o777 | fs.ModeSticky, made: "cni", want: ErrUnsafe},
		{name: "sticky, another made tc", mode: 0o777 | fs.ModeSticky, made: "tc", want: ErrUnsafe},
		{name: "sticky, another made tc and more", mode: 0o777 | fs.ModeSticky, made: "tc/globals", want: ErrUnsafe},
		{name: "of another user", mode: 0o700, uid: stranger, want: ErrUnsafe},
	} {
		t.Run(row.name, func(t *testing.T) {
			dir := newMapDir(t)
			for made := row.made; made != "" && made != "."; made = filepath.Dir(made) {
				mkdir(t, filepath.Join(dir.Root(), made))
				testns.Chown(t, filepath.Join(dir.Root(), made), stranger)
			}
			chmod(t, dir.Root(), row.mode)
			testns.Chown(t, dir.Root(), row.uid)
			before := snapshot(t, dir.Root())
			err := add(t, dir)
			if !errors.Is(err, row.want) {
				t.Errorf("ADD in a root of user %d with mode %v, %q made: %v; want %v",
					row.uid, row.mode, row.made, err, row.want)
			}
			if row.want == nil {
				return
			}
			if diff := cmp.Diff(before, snapshot(t, dir.Root())); diff != "" {
				t.Errorf("ADD changed something (-before +after):\n%s", diff)
			}
		})
	}
}
