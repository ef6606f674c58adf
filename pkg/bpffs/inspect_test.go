package bpffs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// inspect returns what Inspect sees of the bpffs of e, which is closed for it,
// and what the test holds it against: no errors, paths below the records.
func inspect(tb testing.TB, e *Endpoints) Inspection {
	tb.Helper()
	closeRecords(tb, e)
	before := snapshot(tb, mapsOf(e).Root())
	got, err := Inspect(tb.Context(), mapsOf(e).Root(), "")
	if err != nil {
		tb.Errorf("Inspect: %v", err)
	}
	if diff := cmp.Diff(before, snapshot(tb, mapsOf(e).Root())); diff != "" {
		tb.Errorf("Inspect changed something (-before +after):\n%s", diff)
	}
	return got
}

func TestInspect(t *testing.T) {
	for _, row := range []struct {
		name    string
		prepare func(e *Endpoints, id uint16)
		want    func(e *Endpoints, id uint16, i *Inspection)
	}{
		{"nothing wrong", func(*Endpoints, uint16) {}, func(*Endpoints, uint16, *Inspection) {}},
		{
			"scratch", func(e *Endpoints, _ uint16) { mkdir(t, inRecords(e, "scratch/owner")) },
			func(e *Endpoints, _ uint16, i *Inspection) { i.Scratch = inRecords(e, "scratch") },
		},
		{
			"an entry without a record", func(e *Endpoints, _ uint16) { link(t, "00001", inRecords(e, "attachments/net/gone/eth0")) },
			func(e *Endpoints, _ uint16, i *Inspection) {
				i.Unconfirmed = []string{inRecords(e, "attachments/net/gone/eth0")}
			},
		},
		{
			"an entry for somebody else's ID",
			func(e *Endpoints, id uint16) { link(t, formatID(id), inRecords(e, "attachments/net/other/eth0")) },
			func(e *Endpoints, _ uint16, i *Inspection) {
				i.Unconfirmed = []string{inRecords(e, "attachments/net/other/eth0")}
			},
		},
		{"empty directories", func(e *Endpoints, _ uint16) {
			mkdir(t, inRecords(e, "attachments/net/b"), inRecords(e, "attachments/none"))
		}, func(e *Endpoints, _ uint16, i *Inspection) {
			i.Empty = []string{inRecords(e, "attachments/net/b"), inRecords(e, "attachments/none")}
		}},
		{
			"a record without an entry", func(e *Endpoints, _ uint16) { remove(t, inRecords(e, "attachments/net/pod/eth0")) },
			func(e *Endpoints, id uint16, i *Inspection) {
				i.Unindexed = []Missing{{inRecords(e, "attachments/net/pod/eth0"), formatID(id)}}
				i.Empty = []string{inRecords(e, "attachments/net/pod")}
			},
		},
		{"an entry that leads elsewhere", func(e *Endpoints, _ uint16) {
			remove(t, inRecords(e, "attachments/net/pod/eth0"))
			link(t, "00001", inRecords(e, "attachments/net/pod/eth0"))
		}, func(e *Endpoints, id uint16, i *Inspection) {
			i.Unindexed = []Missing{{inRecords(e, "attachments/net/pod/eth0"), formatID(id)}}
			i.Unconfirmed = []string{inRecords(e, "attachments/net/pod/eth0")}
		}},
		{"pins of others", func(e *Endpoints, id uint16) {
			for _, name := range []string{"theirs", LocalMapName("other_", id), LocalMapName("policy_", id)} {
				pinAnyMap(t, mapsOf(e).MapPath(name))
			}
		}, func(e *Endpoints, id uint16, i *Inspection) {
			i.Foreign = []string{mapsOf(e).LocalMapPath("other_", id), mapsOf(e).MapPath("theirs")}
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			e := newEndpoints(t)
			a := Attachment{"net", "pod", "eth0"}
			id := allocate(t, e, a, "policy_")
			want := Inspection{Records: inRecords(e), FreeIDs: MaxEndpoints - 1, Endpoints: []Endpoint{
				{ID: id, Attachment: a, Pins: []string{mapsOf(e).LocalMapPath("policy_", id)}},
			}}
			row.prepare(e, id)
			row.want(e, id, &want)
			got := inspect(t, e)
			for i := range got.Endpoints {
				got.Endpoints[i].Created = time.Time{}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("Inspect (-want +got):\n%s", diff)
			}
		})
	}
}

func TestInspectUnreadable(t *testing.T) {
	e := newEndpoints(t)
	allocate(t, e, Attachment{"net", "pod", "eth0"})
	for _, name := range []string{"00000", "00001", "00002/owner", "x"} {
		mkdir(t, inRecords(e, endpointsDir, name))
	}
	link(t, "a/b", inRecords(e, endpointsDir, "00004/owner"))
	got := inspect(t, e)
	var paths []string
	for _, bad := range got.Unreadable {
		if bad.Err == nil {
			t.Errorf("Inspect does not say why %s cannot be read", bad.Path)
		}
		paths = append(paths, bad.Path)
	}
	want := []string{
		inRecords(e, "endpoints/00000"), inRecords(e, "endpoints/00001"), inRecords(e, "endpoints/00002"),
		inRecords(e, "endpoints/00004"), inRecords(e, "endpoints/x"),
	}
	if diff := cmp.Diff(want, paths); diff != "" {
		t.Errorf("Inspect: unreadable records (-want +got):\n%s", diff)
	}
	if len(got.Endpoints) != 1 {
		t.Errorf("Inspect: %d records that can be read; want 1", len(got.Endpoints))
	}
}

func TestInspectRefuses(t *testing.T) {
	for _, row := range []struct {
		name    string
		prepare func(dir MapDir)
		want    error
	}{
		{"another layout", func(dir MapDir) { mkdir(t, filepath.Join(dir.Root(), "cni/layout-2")) }, ErrLayout},
		{"unsafe records", func(dir MapDir) {
			mkdir(t, filepath.Join(dir.Root(), "cni"))
			testns.Chown(t, filepath.Join(dir.Root(), "cni"), stranger)
		}, ErrUnsafe},
		{"unsafe root", func(dir MapDir) { chmod(t, dir.Root(), 0o777) }, ErrUnsafe},
		{"locked", func(dir MapDir) { testns.Start(t, "hold records", envRoot+"="+dir.Root()) }, ErrLocked},
		{"a new bpffs", func(MapDir) {}, nil},
		{"an empty directory cni", func(dir MapDir) { mkdir(t, filepath.Join(dir.Root(), "cni")) }, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			dir := newMapDir(t)
			row.prepare(dir)
			before := snapshot(t, dir.Root())
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			got, err := Inspect(ctx, dir.Root(), "")
			if !errors.Is(err, row.want) {
				t.Errorf("Inspect: %v; want %v", err, row.want)
			}
			if want := filepath.Join(dir.Root(), "cni"); got.Records != want {
				t.Errorf("Inspect: the records are at %q; want %q", got.Records, want)
			}
			if diff := cmp.Diff(before, snapshot(t, dir.Root())); diff != "" {
				t.Errorf("Inspect changed something (-before +after):\n%s", diff)
			}
		})
	}
}

func TestInspectWithoutBPFFS(t *testing.T) {
	testns.Need(t)
	for _, root := range []string{t.TempDir(), filepath.Join(t.TempDir(), "missing")} {
		got, err := Inspect(t.Context(), root, "")
		want := Inspection{Records: filepath.Join(root, "cni"), FreeIDs: MaxEndpoints}
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("Inspect of %s, where no bpffs is: %v (-want +got):\n%s", root, err, diff)
		}
	}
}

func TestUnsafeDirs(t *testing.T) {
	for _, unsafe := range []string{"cni", "tc", "tc/globals"} {
		for _, fault := range faults() {
			t.Run(unsafe+"/"+fault.name, func(t *testing.T) {
				dir := newMapDir(t)
				directories("cni/layout-1", "tc/globals")(t, dir.Root())
				expectUnsafe(t, dir)
				fault.make(t, filepath.Join(dir.Root(), unsafe))
				expectUnsafe(t, dir, filepath.Join(dir.Root(), unsafe))
			})
		}
	}
	t.Run("root", func(t *testing.T) {
		dir := newMapDir(t)
		chmod(t, dir.Root(), 0o777)
		expectUnsafe(t, dir, dir.Root())
		chmod(t, dir.Root(), 0o777|fs.ModeSticky)
		expectUnsafe(t, dir)
	})
	for _, mounted := range []string{"cni", "cni/endpoints", "cni/attachments", "tc", "tc/globals"} {
		t.Run("mounted on "+mounted, func(t *testing.T) {
			dir := newMapDir(t)
			directories("cni/layout-1", "cni/endpoints", "cni/attachments", "tc/globals")(t, dir.Root())
			testns.Mount(t, "tmpfs", filepath.Join(dir.Root(), mounted), "mode=0700")
			expectUnsafe(t, dir, filepath.Join(dir.Root(), mounted))
			seen, err := Inspect(t.Context(), dir.Root(), "")
			if inMaps := strings.HasPrefix(mounted, "tc"); errors.Is(err, ErrMounted) == inMaps || len(seen.Foreign) > 0 {
				t.Errorf("Inspect = %+v, %v; want %v unless that is in the map directory, and nothing foreign", seen, err, ErrMounted)
			}
		})
	}
	t.Run("several", func(t *testing.T) {
		dir := newMapDir(t)
		directories("cni/layout-1", "tc/globals")(t, dir.Root())
		want := []string{dir.Root()}
		for _, name := range []string{"cni", "tc", "tc/globals"} {
			want = append(want, filepath.Join(dir.Root(), name))
		}
		for _, path := range want {
			testns.Chown(t, path, stranger)
		}
		expectUnsafe(t, dir, want...)
	})
}

func expectUnsafe(t *testing.T, dir MapDir, want ...string) {
	t.Helper()
	found, err := UnsafeDirs(dir.Root(), "")
	var got []string
	for _, d := range found {
		fi, serr := os.Lstat(d.Path)
		if serr != nil || d.Mode != fi.Mode() || d.UID != fi.Sys().(*syscall.Stat_t).Uid || !errors.Is(d.Err, ErrUnsafe) && !errors.Is(d.Err, ErrMounted) {
			t.Errorf("UnsafeDirs: %+v; want it as Lstat shows it (%v), and %v or %v", d, fi, ErrUnsafe, ErrMounted)
		}
		got = append(got, d.Path)
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("UnsafeDirs = %q, %v; want %q", fmt.Sprint(got), err, want)
	}
}

func remove(tb testing.TB, path string) {
	tb.Helper()
	testns.Must(tb, os.Remove(path))
}
