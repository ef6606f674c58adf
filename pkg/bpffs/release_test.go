package bpffs

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

func pinsOf(tb testing.TB, e *Endpoints, id uint16) []string {
	tb.Helper()
	ep, err := e.Endpoint(id)
	if err != nil {
		tb.Fatalf("Endpoint(%d): %v", id, err)
	}
	return ep.Pins
}

func TestReleaseLeavesNothing(t *testing.T) {
	e := newEndpoints(t)
	a := Attachment{"my.net", "pod", "eth0"}
	id := allocate(t, e, a, "policy_", "calls_", "absent_")
	mkdir(t, mapsOf(e).LocalMapPath("policy_", id), filepath.Join(mapsOf(e).LocalMapPath("calls_", id), "deep", "down"))
	for _, time := range []string{"first", "second"} {
		if err := e.Release(a); err != nil {
			t.Errorf("Release(%v) the %s time: %v", a, time, err)
		}
	}
	if got, err := e.ID(a); !errors.Is(err, ErrNoEndpoint) {
		t.Errorf("ID(%v) = %d, %v after Release; want %v", a, got, err, ErrNoEndpoint)
	}
	if owner, err := e.Owner(id); !errors.Is(err, ErrNoEndpoint) {
		t.Errorf("Owner(%d) = %v, %v after Release; want %v", id, owner, err, ErrNoEndpoint)
	}
	want := []string{"attachments", "endpoints", "layout-1"}
	if diff := cmp.Diff(want, tree(t, inRecords(e))); diff != "" {
		t.Errorf("records after Release (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string(nil), tree(t, mapsOf(e).Path())); diff != "" {
		t.Errorf("map directory after Release (-want +got):\n%s", diff)
	}
}

// tree returns the paths of everything below top.
func tree(tb testing.TB, top string) []string {
	tb.Helper()
	var found []string
	err := filepath.WalkDir(top, func(path string, _ os.DirEntry, err error) error {
		if rel, _ := filepath.Rel(top, path); rel != "." {
			found = append(found, rel)
		}
		return err
	})
	testns.Must(tb, err)
	return found
}

func TestReleaseKeepsTheOthers(t *testing.T) {
	others := []Attachment{
		{"net", "pod", "eth1"}, {"net", "pod2", "eth0"}, {"other", "pod", "eth0"}, {"net", "po", "deth0"},
	}
	for _, row := range []struct {
		name string
		a    Attachment
	}{
		{"one of them", Attachment{"net", "pod", "eth0"}},
		{"unknown interface", Attachment{"net", "pod", "eth9"}},
		{"unknown container", Attachment{"net", "pod9", "eth0"}},
		{"unknown network", Attachment{"net9", "pod", "eth0"}},
		{"no interface", Attachment{"net", "pod", ""}},
		{"no container", Attachment{"net", "", "eth0"}},
		{"no network", Attachment{"", "net", "pod"}},
		{"only a network", Attachment{"net", "", ""}},
		{"nothing", Attachment{}},
		{"upwards", Attachment{"net", "pod", ".."}},
		{"here", Attachment{"net", "pod", "."}},
		{"across", Attachment{"net", "pod/eth1", "."}},
	} {
		t.Run(row.name, func(t *testing.T) {
			e := newEndpoints(t)
			for _, a := range others {
				mkdir(t, mapsOf(e).LocalMapPath("policy_", allocate(t, e, a, "policy_")))
			}
			want := tree(t, mapsOf(e).Root())
			if row.name == "one of them" {
				allocate(t, e, row.a, "policy_")
			}
			if err := e.Release(row.a); err != nil {
				t.Errorf("Release(%v): %v", row.a, err)
			}
			if diff := cmp.Diff(want, tree(t, mapsOf(e).Root())); diff != "" {
				t.Errorf("bpffs after Release(%v) (-want +got):\n%s", row.a, diff)
			}
		})
	}
}

func TestReleaseOfAStaleIndex(t *testing.T) {
	e := newEndpoints(t)
	other := Attachment{"net", "other", "eth0"}
	id := allocate(t, e, other, "policy_")
	want := tree(t, mapsOf(e).Root())
	a := Attachment{"net", "pod", "eth0"}
	link(t, formatID(id), inRecords(e, attachmentsDir, a.path()))
	if err := e.Release(a); err != nil {
		t.Errorf("Release(%v): %v", a, err)
	}
	if diff := cmp.Diff(want, tree(t, mapsOf(e).Root())); diff != "" {
		t.Errorf("bpffs after the release of an index entry that names the ID of another (-want +got):\n%s", diff)
	}
}

func TestReleaseKeepsTheRecordOfAPinItCannotRemove(t *testing.T) {
	e := newEndpoints(t)
	a := Attachment{"net", "pod", "eth0"}
	id := allocate(t, e, a, "policy_", "calls_")
	busy, gone := mapsOf(e).LocalMapPath("policy_", id), mapsOf(e).LocalMapPath("calls_", id)
	mkdir(t, busy, gone)
	testns.Mount(t, "tmpfs", busy, "")
	if err := e.Release(a); err == nil {
		t.Errorf("Release(%v) with something mounted at %s gave no error", a, busy)
	}
	if got, err := e.ID(a); err != nil || got != id {
		t.Errorf("ID(%v) = %d, %v after an incomplete Release; want %d", a, got, err, id)
	}
	if isThere(t, gone) {
		t.Errorf("%s is left; want every pin removed that can be", gone)
	}
	testns.UnmountAll(t, busy)
	if err := e.Release(a); err != nil || isThere(t, busy) {
		t.Errorf("Release(%v) after the cause is gone: %v, %s is there: %v", a, err, busy, isThere(t, busy))
	}
}

func TestReleaseOfPinsBelowAnotherPrefix(t *testing.T) {
	e := newEndpoints(t)
	a := Attachment{"net", "pod", "eth0"}
	id := allocate(t, e, a, "policy_")
	mkdir(t, mapsOf(e).LocalMapPath("policy_", id))
	dir, err := NewMapDir(e.Root(), "elsewhere")
	testns.Must(t, err)
	if again, isNew, err := e.Allocate(a, "elsewhere", "policy_"); again != id || isNew || err != nil {
		t.Errorf("Allocate below another prefix: got %d, new %v, %v, want %d", again, isNew, err, id)
	}
	want := []string{dir.LocalMapPath("policy_", id), mapsOf(e).LocalMapPath("policy_", id)}
	if diff := cmp.Diff(want, pinsOf(t, e, id)); diff != "" {
		t.Errorf("pins after the prefix changed (-want +got):\n%s", diff)
	}
	if err := e.Release(a); err != nil || isThere(t, want[1]) {
		t.Errorf("Release(%v): %v, %s is there: %v", a, err, want[1], isThere(t, want[1]))
	}
}

// What cannot be removed because something is mounted there says so, and what to type.
func TestRemoveWhatIsMountedOn(t *testing.T) {
	a := Attachment{"net", "c", "eth0"}
	for _, row := range []struct {
		name  string
		where func(e *Endpoints, id uint16) string
		want  error
	}{
		{"scratch", func(e *Endpoints, _ uint16) string { return inRecords(e, scratchDir) }, ErrMounted},
		{"a pin", func(e *Endpoints, id uint16) string { return mapsOf(e).LocalMapPath("policy_", id) }, ErrPinStuck},
		{"in a directory of pins", func(e *Endpoints, id uint16) string { return mapsOf(e).LocalMapPath("policy_", id) + "/a/b/c" }, ErrPinStuck},
	} {
		t.Run(row.name, func(t *testing.T) {
			dir := newMapDir(t)
			e, err := CreateEndpoints(t.Context(), dir.Root())
			testns.Must(t, err)
			id, _, err := e.Allocate(a, "", "policy_")
			testns.Must(t, err)
			path := row.where(e, id)
			directories(strings.TrimPrefix(path, e.Root()+"/"))(t, e.Root())
			testns.Mount(t, "tmpfs", path, "")
			testns.Must(t, e.Close())
			e, err = OpenEndpoints(t.Context(), dir.Root())
			if err == nil {
				defer e.Close()
				err = e.Release(a)
			}
			if !errors.Is(err, row.want) || !errors.Is(err, ErrMounted) || !strings.Contains(err.Error(), "umount /") {
				t.Errorf("with a mount on %s: got %v, want %v and what to type", path, err, row.want)
			}
		})
	}
}
