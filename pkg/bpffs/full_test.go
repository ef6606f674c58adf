package bpffs

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// fillNode takes every ID, as far as a search sees.
func fillNode(tb testing.TB, e *Endpoints) {
	tb.Helper()
	mkdir(tb, inRecords(e, endpointsDir))
	for id := 1; id <= MaxEndpoints; id++ {
		testns.Must(tb, os.Mkdir(inRecords(e, endpointsDir, formatID(uint16(id))), 0o700))
	}
}

func TestAllocateOnAFullNode(t *testing.T) {
	e := newEndpoints(t)
	fillNode(t, e)
	a := Attachment{"net", "pod", "eth0"}
	if id, _, err := e.Allocate(a, "", "policy_"); !errors.Is(err, ErrFull) {
		t.Errorf("Allocate on a full node = %d, %v; want %v", id, err, ErrFull)
	}
	if free, err := e.FreeIDs(); err != nil || free != 0 {
		t.Errorf("FreeIDs() = %d, %v on a full node; want 0", free, err)
	}
	const freed = 31415
	testns.Must(t, os.Remove(inRecords(e, endpointsDir, formatID(freed))))
	if id := allocate(t, e, a, "policy_"); id != freed {
		t.Errorf("Allocate = %d with only %d free", id, freed)
	}
}

func TestAllocateByManyProcesses(t *testing.T) {
	dir := newMapDir(t)
	many := crowdSize()
	owners := make(map[string]int)
	for i, m := range testns.Crowd(t, many, "allocate", func(i int) []string {
		return []string{envRoot + "=" + dir.Root(), fmt.Sprintf("%s=%d", envNumber, i)}
	}) {
		if m.Err != nil {
			t.Errorf("process %d: %v: %s", i, m.Err, m.Stderr)
		}
		if other, taken := owners[m.Stdout]; taken {
			t.Errorf("processes %d and %d both got ID %s", i, other, m.Stdout)
		}
		owners[m.Stdout] = i
	}
	if free, err := openRecords(t, dir).FreeIDs(); err != nil || free != MaxEndpoints-many {
		t.Errorf("FreeIDs() = %d, %v after %d processes; want %d", free, err, many, MaxEndpoints-many)
	}
}
