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

// allocate gives the attachment an ID, or its old one.
func allocate(tb testing.TB, e *Endpoints, a Attachment, names ...string) uint16 {
	tb.Helper()
	id, _, err := e.Allocate(a, "", names...)
	if err != nil {
		tb.Fatalf("Allocate(%v, %q): %v", a, names, err)
	}
	return id
}

func TestAllocateGivesTheSameAgain(t *testing.T) {
	e := newEndpoints(t)
	a := Attachment{"net", "pod", "eth0"}
	id, isNew, err := e.Allocate(a, "", "policy_")
	if err != nil || !isNew || id == 0 {
		t.Fatalf("Allocate(%v) = %d, %v, %v; want an ID that is new", a, id, isNew, err)
	}
	again, isNew, err := e.Allocate(a, "", "policy_")
	if err != nil || isNew || again != id {
		t.Errorf("Allocate(%v) = %d, %v, %v the second time; want %d, not new", a, again, isNew, err, id)
	}
}

func TestLookUpBothWays(t *testing.T) {
	long := strings.Repeat("n", maxName)
	e := newEndpoints(t)
	ids := make(map[uint16]Attachment)
	for _, a := range []Attachment{
		{"net", "pod", "eth0"},
		{"net", "pod", "eth1"},
		{"net", "pod2", "eth0"},
		{"other", "pod", "eth0"},
		{"my.net", "a.b.c", "eth0.100"},
		{"my%2Enet", "..", "."},
		{"a/b", "/", "%"},
		{"ü ", "\n\\", "\x01\xff"},
		{long, long, long},
		{strings.Repeat(".", maxName/3), "pod", "eth0"},
	} {
		id := allocate(t, e, a)
		if other, taken := ids[id]; taken {
			t.Errorf("%v and %v both have ID %d", a, other, id)
		}
		ids[id] = a
	}
	for id, a := range ids {
		if got, err := e.ID(a); err != nil || got != id {
			t.Errorf("ID(%v) = %d, %v; want %d", a, got, err, id)
		}
		if got, err := e.Owner(id); err != nil || got != a {
			t.Errorf("Owner(%d) = %v, %v; want %v", id, got, err, a)
		}
	}
}

func TestAllocateRefusesImpossibleAttachments(t *testing.T) {
	e := newEndpoints(t)
	allocate(t, e, Attachment{"net", "pod", "eth0"})
	for _, a := range []Attachment{
		{},
		{"net", "", "eth0"},
		{"net", "pod", ""},
		{"", "pod", "eth0"},
		{"net", "", "pod"}, // the directory above the one of an attachment
		{"net", strings.Repeat("n", maxName+1), "eth0"},
	} {
		if id, _, err := e.Allocate(a, ""); err == nil {
			t.Errorf("Allocate(%.60v) = %d; want an error", a, id)
		}
		if id, err := e.ID(a); !errors.Is(err, ErrNoEndpoint) {
			t.Errorf("ID(%.60v) = %d, %v; want %v", a, id, err, ErrNoEndpoint)
		}
	}
	if free, err := e.FreeIDs(); err != nil || free != MaxEndpoints-1 {
		t.Errorf("FreeIDs() = %d, %v after refusals; want %d", free, err, MaxEndpoints-1)
	}
}

func TestAllocatePassesOccupiedPathsOver(t *testing.T) {
	dir := newMapDir(t)
	a := Attachment{"net", "pod", "eth0"}
	first := allocate(t, openRecords(t, mapDirAt(t, testns.BPFFS(t))), a)
	occupied := dir.LocalMapPath("second_", first)
	mkdir(t, filepath.Join(occupied, "content"))

	e := openRecords(t, dir)
	id := allocate(t, e, a, "first_", "second_")
	if id == first {
		t.Errorf("Allocate(%v) = %d, whose path %s is occupied", a, id, occupied)
	}
	testns.Must(t, e.Release(a))
	if !isThere(t, filepath.Join(occupied, "content")) {
		t.Errorf("%s is gone; want what nobody's record names left alone", occupied)
	}
	if got := allocate(t, e, a, "first_"); got != first {
		t.Errorf("Allocate(%v) = %d without the occupied name; want %d", a, got, first)
	}
}

func TestAllocateAddsPins(t *testing.T) {
	e := newEndpoints(t)
	a := Attachment{"net", "pod", "eth0"}
	id := allocate(t, e, a, "policy_")
	mkdir(t, mapsOf(e).LocalMapPath("policy_", id)) // our own, not an occupier
	allocate(t, e, a, "policy_", "calls_")
	want := []string{mapsOf(e).LocalMapPath("calls_", id), mapsOf(e).LocalMapPath("policy_", id)}
	if diff := cmp.Diff(want, pinsOf(t, e, id)); diff != "" {
		t.Errorf("pins of %v after a second Allocate (-want +got):\n%s", a, diff)
	}
}

func TestAllocateOccupiedLater(t *testing.T) {
	e := newEndpoints(t)
	a := Attachment{"net", "pod", "eth0"}
	id := allocate(t, e, a, "policy_")
	occupied := mapsOf(e).LocalMapPath("calls_", id)
	mkdir(t, occupied)
	_, _, err := e.Allocate(a, "", "policy_", "nat_", "calls_")
	if !errors.Is(err, ErrOccupied) || !strings.Contains(err.Error(), occupied) {
		t.Errorf("Allocate with %s occupied: %v; want %v with the path", occupied, err, ErrOccupied)
	}
	want := []string{mapsOf(e).LocalMapPath("policy_", id)}
	if diff := cmp.Diff(want, pinsOf(t, e, id)); diff != "" {
		t.Errorf("pins of %v after %v (-want +got):\n%s", a, ErrOccupied, diff)
	}
	testns.Must(t, e.Release(a))
	if !isThere(t, occupied) {
		t.Errorf("Release removed %s, which the endpoint never owned", occupied)
	}
}

func TestAllocateIgnoresAStaleIndex(t *testing.T) {
	for _, row := range []struct {
		name    string
		prepare func(e *Endpoints) // after 7 was written into the index
	}{
		{"without a record", func(*Endpoints) {}},
		{"with a record of another", func(e *Endpoints) { link(t, "net/other/eth0", inRecords(e, endpointsDir, "00007/owner")) }},
		{"with a record without an owner", func(e *Endpoints) { mkdir(t, inRecords(e, endpointsDir, "00007")) }},
	} {
		t.Run(row.name, func(t *testing.T) {
			e := newEndpoints(t)
			a := Attachment{"net", "pod", "eth0"}
			link(t, "00007", inRecords(e, attachmentsDir, a.path()))
			row.prepare(e)
			if id, err := e.ID(a); !errors.Is(err, ErrNoEndpoint) {
				t.Errorf("ID(%v) = %d, %v; want %v", a, id, err, ErrNoEndpoint)
			}
			id, isNew, err := e.Allocate(a, "")
			if err != nil || !isNew || id == 7 {
				t.Errorf("Allocate(%v) = %d, %v, %v; want a new ID other than 7", a, id, isNew, err)
			}
			indexed, err := os.Readlink(inRecords(e, attachmentsDir, a.path()))
			if err != nil || indexed != formatID(id) {
				t.Errorf("the index of %v holds %s, %v; want %s", a, indexed, err, formatID(id))
			}
		})
	}
}

// An ID is unique in its bpffs: two on a node can hold the same.
func TestIDsAreUniqueInOneBPFFS(t *testing.T) {
	for _, row := range []struct {
		name string
		a, b Attachment
		same bool // bpffs
	}{
		{"the same attachment in two", Attachment{"net", "c", "eth0"}, Attachment{"net", "c", "eth0"}, false},
		{"another interface in the same", Attachment{"net", "c", "eth0"}, Attachment{"net", "c", "eth1"}, true},
		{"another network in the same", Attachment{"net", "c", "eth0"}, Attachment{"other", "c", "eth0"}, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			first := newEndpoints(t)
			second := first
			if !row.same {
				second = newEndpoints(t)
			}
			a, _, err := first.Allocate(row.a, "", "policy_")
			testns.Must(t, err)
			b, _, err := second.Allocate(row.b, "", "policy_")
			testns.Must(t, err)
			if (a == b) == row.same {
				t.Errorf("got the IDs %d and %d, want the same in two bpffs, others in one", a, b)
			}
		})
	}
}
