package bpffs

import (
	"errors"
	"syscall"
	"testing"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// The record cannot be moved to its place, for that is on another file system.
func TestAllocateThatFailsLeavesNothing(t *testing.T) {
	e := newEndpoints(t)
	mkdir(t, inRecords(e, endpointsDir))
	testns.Mount(t, "tmpfs", inRecords(e, endpointsDir), "")
	a, b := Attachment{"net", "a", "eth0"}, Attachment{"net", "b", "eth0"}
	if id, _, err := e.Allocate(a, "policy_"); !errors.Is(err, syscall.EXDEV) {
		t.Fatalf("Allocate(%v) = %d, %v; wanted %v", a, id, err, syscall.EXDEV)
	}
	testns.UnmountAll(t, inRecords(e, endpointsDir))
	if id, err := e.ID(a); !errors.Is(err, ErrNoEndpoint) || isThere(t, inRecords(e, attachmentsDir, a.path())) {
		t.Errorf("ID(%v) = %d, %v after Allocate failed; wanted nothing left", a, id, err)
	}
	id := allocate(t, e, b, "calls_")
	if owner, err := e.Owner(id); err != nil || owner != b {
		t.Errorf("Owner(%d) = %v, %v; wanted %v and nothing of the attempt before", id, owner, err, b)
	}
	if pins := pinsOf(t, e, id); len(pins) != 1 {
		t.Errorf("pins of %v are %q; wanted one", b, pins)
	}
}

// An index or record with something else in it is an error, not another answer.
func TestForeignNamesInTheRecords(t *testing.T) {
	e := newEndpoints(t)
	a := Attachment{"net", "pod", "eth0"}
	id := allocate(t, e, a)
	mkdir(t, inRecords(e, endpointsDir, formatID(id), "owner", "net", "pod", "eth1"))
	if owner, err := e.Owner(id); err == nil || errors.Is(err, ErrNoEndpoint) {
		t.Errorf("Owner(%d) with two owners = %v, %v; wanted an error", id, owner, err)
	}
	if err := e.Release(a); err != nil {
		t.Errorf("Release(%v) with two owners: %v", a, err)
	}
	mkdir(t, inRecords(e, attachmentsDir, a.path(), "x"))
	if id, err := e.ID(a); err == nil || errors.Is(err, ErrNoEndpoint) {
		t.Errorf("ID(%v) with %q in the index = %d, %v; wanted an error", a, "x", id, err)
	}
}
