package bpffs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// The record cannot be moved to its place, for that is a link to nothing.
func TestAllocateThatFailsLeavesNothing(t *testing.T) {
	e := newEndpoints(t)
	link(t, "missing", inRecords(e, endpointsDir))
	a, b := Attachment{"net", "a", "eth0"}, Attachment{"net", "b", "eth0"}
	if id, _, err := e.Allocate(a, "", "policy_"); !errors.Is(err, syscall.ENOENT) {
		t.Fatalf("Allocate(%v) = %d, %v; want %v", a, id, err, syscall.ENOENT)
	}
	testns.Must(t, os.Remove(inRecords(e, endpointsDir)))
	if id, err := e.ID(a); !errors.Is(err, ErrNoEndpoint) || isThere(t, inRecords(e, attachmentsDir, a.path())) {
		t.Errorf("ID(%v) = %d, %v after Allocate failed; want nothing left", a, id, err)
	}
	id := allocate(t, e, b, "calls_")
	if owner, err := e.Owner(id); err != nil || owner != b {
		t.Errorf("Owner(%d) = %v, %v; want %v and nothing of the attempt before", id, owner, err, b)
	}
	if pins := pinsOf(t, e, id); len(pins) != 1 {
		t.Errorf("pins of %v are %q; want one", b, pins)
	}
}

// A record that this package did not write is an error, not another answer.
func TestForeignRecords(t *testing.T) {
	e := newEndpoints(t)
	for id, owner := range []string{"net", "net/pod", "net/pod/eth0/x", "net//eth0", "net/pod/a%", "net/../eth0", "/net/pod/eth0"} {
		link(t, owner, inRecords(e, endpointsDir, formatID(uint16(id+1)), ownerLink))
		if a, err := e.Owner(uint16(id + 1)); err == nil || errors.Is(err, ErrNoEndpoint) {
			t.Errorf("Owner with the link %q = %v, %v; want an error", owner, a, err)
		}
	}
	for id, pins := range []string{"tc/globals", "tc/globals//", "tc/globals//a_//b_", "../tc//a_", "tc/globals//..", "/tc//a_", "tc/globals//a.b"} {
		link(t, pins, inRecords(e, endpointsDir, formatID(uint16(id+100)), pinsLink+"0"))
		if got, err := e.record(uint16(id + 100)).pins(); err == nil {
			t.Errorf("pins with the link %q = %q; want an error", pins, got)
		}
	}
	a := Attachment{"net", "pod", "eth0"}
	for _, indexed := range []string{"x", "0", "65536", "00001/x"} {
		link(t, indexed, inRecords(e, attachmentsDir, a.path()))
		if id, err := e.ID(a); err == nil || errors.Is(err, ErrNoEndpoint) {
			t.Errorf("ID(%v) with %q in the index = %d, %v; want an error", a, indexed, id, err)
		}
		testns.Must(t, e.cni.Remove(filepath.Join(attachmentsDir, a.path())))
	}
}

// The names of more pins than fit into one link.
func TestManyPins(t *testing.T) {
	e := newEndpoints(t)
	a := Attachment{"net", "pod", "eth0"}
	var names, want []string
	for i := range 100 {
		names = append(names, fmt.Sprintf("%02d%s", i, strings.Repeat("n", i*2)))
	}
	allocate(t, e, a, names[:60]...)
	id := allocate(t, e, a, names...)
	for _, name := range names {
		want = append(want, mapsOf(e).LocalMapPath(name, id))
	}
	if diff := cmp.Diff(want, pinsOf(t, e, id)); diff != "" {
		t.Errorf("pins (-want +got):\n%s", diff)
	}
	testns.Must(t, e.Release(a))
	if diff := cmp.Diff([]string{"attachments", "endpoints", "layout-1"}, tree(t, inRecords(e))); diff != "" {
		t.Errorf("records after Release (-want +got):\n%s", diff)
	}
}

func TestAllocateRefusesImpossibleNames(t *testing.T) {
	e := newEndpoints(t)
	for _, name := range []string{"", "a/b", "a.b", "..", strings.Repeat("n", 251)} {
		if id, _, err := e.Allocate(Attachment{"net", "pod", "eth0"}, "", "policy_", name); err == nil {
			t.Errorf("Allocate with the name %.300q = %d; want an error", name, id)
		}
	}
	if diff := cmp.Diff([]string{"layout-1"}, tree(t, inRecords(e))); diff != "" {
		t.Errorf("records after it (-want +got):\n%s", diff)
	}
}
