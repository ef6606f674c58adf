package bpffs

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// CheckEndpoints says in advance what an ADD would say, and changes
// nothing.
func TestCheckEndpointsAgreesWithADD(t *testing.T) {
	for _, row := range []struct {
		name    string
		prepare func(tb testing.TB, root string)
		want    error
	}{
		{"nothing in it", testns.Mounting(), nil},
		{"records of another layout", directories("cni/layout-2"), ErrLayout},
		{"our records", directories("cni/layout-1", "cni/endpoints", "tc/globals"), nil},
		{"records, but no map directory", directories("cni/layout-1"), nil},
		{"only a map directory", directories("tc/globals"), nil},
		{"root writable by all", func(tb testing.TB, root string) { tb.Helper(); chmod(tb, root, 0o777) }, ErrUnsafe},
		{"root of another user", func(tb testing.TB, root string) { tb.Helper(); testns.Chown(tb, root, stranger) }, ErrUnsafe},
		{"read-only", readOnly, syscall.EROFS},
	} {
		t.Run(row.name, func(t *testing.T) {
			dir := newMapDir(t)
			row.prepare(t, dir.Root())
			expectAgreement(t, dir, row.want)
		})
	}
	for _, unsafe := range []string{"cni", "tc", "tc/globals"} {
		for _, fault := range faults() {
			t.Run(unsafe+"/"+fault.name, func(t *testing.T) {
				dir := newMapDir(t)
				directories("cni/layout-1", "tc/globals")(t, dir.Root())
				fault.make(t, filepath.Join(dir.Root(), unsafe))
				expectAgreement(t, dir, ErrUnsafe)
			})
		}
	}
}

// directories returns a preparation that makes directories below the root.
func directories(dirs ...string) func(tb testing.TB, root string) {
	return func(tb testing.TB, root string) {
		tb.Helper()
		for _, dir := range dirs {
			mkdir(tb, filepath.Join(root, dir))
		}
	}
}

func readOnly(tb testing.TB, root string) {
	tb.Helper()
	testns.Must(tb, syscall.Mount("", root, "", syscall.MS_REMOUNT|syscall.MS_BIND|syscall.MS_RDONLY, ""))
}

func expectAgreement(t *testing.T, dir MapDir, want error) {
	t.Helper()
	before := snapshot(t, dir.Root())
	if err := CheckEndpoints(t.Context(), dir.Root(), ""); !errors.Is(err, want) {
		t.Errorf("CheckEndpoints: %v; want %v", err, want)
	}
	if diff := cmp.Diff(before, snapshot(t, dir.Root())); diff != "" {
		t.Errorf("CheckEndpoints changed something (-before +after):\n%s", diff)
	}
	if err := add(t, dir); !errors.Is(err, want) {
		t.Errorf("ADD: %v; want %v", err, want)
	}
}

// add does what an ADD does with the records and the map directory.
func add(tb testing.TB, dir MapDir) error {
	tb.Helper()
	if err := CheckDirs(dir.Root(), dir.Prefix()); err != nil {
		return err
	}
	e, err := CreateEndpoints(tb.Context(), dir.Root())
	if err != nil {
		return err
	}
	defer closeRecords(tb, e)
	_, _, err = e.Allocate(Attachment{"net", "added", "eth0"}, dir.Prefix(), "policy_")
	return err
}

func TestCheckEndpointsWithoutBPFFS(t *testing.T) {
	testns.Need(t)
	for _, root := range []string{t.TempDir(), filepath.Join(t.TempDir(), "missing")} {
		if err := CheckEndpoints(t.Context(), root, ""); err != nil {
			t.Errorf("CheckEndpoints at %s, where no bpffs is yet: %v", root, err)
		}
	}
}

func TestCheckEndpointsOfAFullNode(t *testing.T) {
	dir := newMapDir(t)
	e := openRecords(t, dir)
	closeRecords(t, e)
	fillNode(t, e)
	if err := CheckEndpoints(t.Context(), dir.Root(), ""); !errors.Is(err, ErrFull) {
		t.Errorf("CheckEndpoints of a full node: %v; want %v", err, ErrFull)
	}
	testns.Must(t, os.Remove(inRecords(e, endpointsDir, "00001")))
	if err := CheckEndpoints(t.Context(), dir.Root(), ""); err != nil {
		t.Errorf("CheckEndpoints with one ID free: %v", err)
	}
}

func TestCheckEndpointsLocked(t *testing.T) {
	dir := newMapDir(t)
	testns.Start(t, "hold records", envRoot+"="+dir.Root())
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := CheckEndpoints(ctx, dir.Root(), ""); !errors.Is(err, ErrLocked) {
		t.Errorf("CheckEndpoints while another process has the records open: %v; want %v", err, ErrLocked)
	}
}

// In a directory for everybody whoever made a mount point can remove it, although
// something of root's is mounted on it.
func TestWayOverAMountPointOfAnother(t *testing.T) {
	testns.Need(t)
	for _, row := range []struct {
		name, mounted string
		mode          os.FileMode
		by            int
		want          error
	}{
		{"of another, the root", "bpf", 0o777 | os.ModeSticky, stranger, ErrUnsafe},
		{"of another, above the root", "tmpfs", 0o777 | os.ModeSticky, stranger, ErrUnsafe},
		{"of another, a file system bound onto itself", "", 0o777 | os.ModeSticky, stranger, ErrUnsafe},
		{"of another, for a group", "bpf", 0o775 | os.ModeSticky, stranger, ErrUnsafe},
		{"of another, where only root can change anything", "bpf", 0o755, stranger, nil},
		{"of root", "bpf", 0o777 | os.ModeSticky, 0, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			above := t.TempDir()
			point := above + "/point"
			mkdir(t, point)
			root := point
			switch row.mounted {
			case "":
				testns.Bind(t, point, point)
				testns.Chown(t, point, row.by)
				root = point + "/bpf"
			case "tmpfs":
				testns.Chown(t, point, row.by)
				testns.Mount(t, row.mounted, point, "mode=0755")
				root = point + "/bpf"
			default:
				testns.Chown(t, point, row.by)
				testns.Mount(t, row.mounted, point, "mode=0700")
			}
			chmod(t, above, row.mode)
			if m, err := CheckMount(Roots{Root: root}); !errors.Is(err, row.want) {
				t.Errorf("CheckMount of %s = %+v, %v; want %v", root, m, err, row.want)
			}
		})
	}
}

// Of a root that others can move it is said all the same what is mounted there, for
// whoever repairs a node.
func TestCheckMountOfAnUnsafeWay(t *testing.T) {
	testns.Need(t)
	for _, row := range []struct {
		name    string
		make    func(t *testing.T, above, root string) string
		mounted bool
	}{
		{"mounted", func(_ *testing.T, _, root string) string { return root }, true},
		{"not mounted", func(_ *testing.T, _, root string) string { return root }, false},
		{"by a link", func(t *testing.T, above, root string) string {
			t.Helper()
			symlink(t, root, above+"/link")
			return above + "/link"
		}, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			above := t.TempDir()
			root := above + "/bpf"
			mkdir(t, root)
			if row.mounted {
				testns.Mount(t, "bpf", root, "mode=0700")
			}
			named := row.make(t, above, root)
			testns.Chown(t, above, stranger)
			m, err := CheckMount(Roots{Root: named})
			if want := (MountPoint{Path: root, New: !row.mounted}); m != want || !errors.Is(err, ErrUnsafe) {
				t.Errorf("CheckMount = %+v, %v; want %+v, %v", m, err, want, ErrUnsafe)
			}
			found, err := UnsafeDirs(named, "")
			if err != nil || len(found) != 1 || found[0].Path != above || !found[0].Above || found[0].UID != stranger {
				t.Errorf("UnsafeDirs = %+v, %v; want %s, above the root, of user %d", found, err, above, stranger)
			}
		})
	}
}
