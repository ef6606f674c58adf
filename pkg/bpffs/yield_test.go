package bpffs

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// TestYield: others have the records once they were kept for a portion, and not
// before.
func TestYield(t *testing.T) {
	done, cancel := context.WithCancel(t.Context())
	cancel()
	for _, row := range []struct {
		name     string
		ctx      context.Context
		kept     time.Duration
		before   func(tb testing.TB, e *Endpoints)
		gaveBack bool
		want     error
	}{
		{"just opened", t.Context(), 0, nil, false, nil},
		{"kept", t.Context(), portion, nil, true, nil},
		{"kept long", t.Context(), time.Hour, nil, true, nil},
		{"what a killed process left", t.Context(), portion, func(tb testing.TB, e *Endpoints) {
			tb.Helper()
			mkdir(tb, inRecords(e, scratchDir))
		}, true, nil},
		{"nobody waits any more", done, portion, nil, true, context.Canceled},
		{"just opened, nobody waits any more", done, 0, nil, false, nil},
		{"mounted anew", t.Context(), portion, func(tb testing.TB, e *Endpoints) {
			tb.Helper()
			testns.Mount(tb, "bpf", e.Root(), "mode=0700")
		}, true, ErrLocked},
		{"mounted anew with records", t.Context(), portion, func(tb testing.TB, e *Endpoints) {
			tb.Helper()
			testns.Mount(tb, "bpf", e.Root(), "mode=0700")
			mkdir(tb, inRecords(e, layoutDir))
		}, true, ErrLocked},
	} {
		t.Run(row.name, func(t *testing.T) {
			e := newEndpoints(t)
			if row.before != nil {
				row.before(t, e)
			}
			e.since = time.Now().Add(-row.kept)
			if row.kept == 0 {
				e.since = time.Now().Add(time.Hour) // however slow this machine is
			}
			gaveBack, err := e.Yield(row.ctx)
			if gaveBack != row.gaveBack || !errors.Is(err, row.want) {
				t.Errorf("Yield of records kept for %v: %v, %v; want %v, %v", row.kept, gaveBack, err, row.gaveBack, row.want)
			}
			if err != nil {
				return
			}
			if left, err := e.cni.Exists(scratchDir); left || err != nil {
				t.Errorf("after Yield there is a record half made: %v, %v", left, err)
			}
			if since := time.Since(e.since); row.gaveBack && since > time.Minute {
				t.Errorf("after Yield the records are kept since %v, want since they were had again", since)
			}
		})
	}
}

// TestIDsWhileOthersWait: a list that takes longer than a portion is made while others
// have the records.
func TestIDsWhileOthersWait(t *testing.T) {
	for _, row := range []struct {
		name string
		many int
		want bool
	}{
		{"none", 0, false},
		{"few", 5, false},
		{"nearly a portion", crowded - 3, false},
		{"more than a portion", crowded, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			e := newEndpoints(t)
			for i := range row.many {
				mkdir(t, inRecords(e, endpointsDir, formatID(uint16(i+1))))
			}
			had := e.since
			ids, err := e.IDs(t.Context())
			if len(ids) != row.many || err != nil {
				t.Errorf("IDs of %d: got %d, %v", row.many, len(ids), err)
			}
			if gaveBack := e.since != had; gaveBack != row.want {
				t.Errorf("IDs of %s gave the records back: %v, want %v", strconv.Itoa(row.many), gaveBack, row.want)
			}
		})
	}
}
