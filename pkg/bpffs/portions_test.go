package bpffs

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// inBetween collects the network "net", of which nothing is valid, and lets another
// process, which has waited, do something after the first portion.
func inBetween(tb testing.TB, e *Endpoints, do func(other *Endpoints) error) error {
	tb.Helper()
	done := make(chan error, 1)
	first := true
	err := e.Collect(tb.Context(), "net", func(Attachment) bool {
		if !first {
			return false
		}
		first = false
		go func() {
			other, err := CreateEndpoints(tb.Context(), e.Root())
			if err != nil {
				done <- err
				return
			}
			done <- errors.Join(do(other), other.Close())
		}()
		awaitBlocked(tb, done)
		time.Sleep(2 * portion)
		return false
	})
	if derr := <-done; derr != nil {
		tb.Fatalf("what was done in between: %v", derr)
	}
	return err
}

// TestNobodyIsCollectedInBetween: while a collector has given the records back, others
// change them as they like.
func TestNobodyIsCollectedInBetween(t *testing.T) {
	again := func(e *Endpoints, a Attachment) error {
		id, _, err := e.Allocate(a, "", "policy_")
		return errors.Join(err, e.SetDetails(id, Details{NetNS: "/run/netns/again"}))
	}
	all := func() (all []Attachment) {
		for i := range 20 {
			all = append(all, Attachment{"net", strconv.Itoa(i), "eth0"})
		}
		return all
	}()
	for _, row := range []struct {
		name string
		do   func(e *Endpoints) error
		want []Attachment // that are left, as far as they were not the first
	}{
		{"nothing", func(*Endpoints) error { return nil }, nil},
		{"ADD of another", func(e *Endpoints) error { return again(e, Attachment{"net", "young", "eth0"}) }, []Attachment{{"net", "young", "eth0"}}},
		{"ADD of another interface", func(e *Endpoints) error {
			var errs []error
			for _, a := range all {
				a.IfName = "eth1"
				errs = append(errs, again(e, a))
			}
			return errors.Join(errs...)
		}, func() (want []Attachment) {
			for _, a := range all {
				want = append(want, Attachment{a.Network, a.ContainerID, "eth1"})
			}
			return want
		}()},
		{"ADD again of all", func(e *Endpoints) error {
			var errs []error
			for _, a := range all {
				errs = append(errs, again(e, a))
			}
			return errors.Join(errs...)
		}, all},
		{"DEL and ADD of all", func(e *Endpoints) error {
			var errs []error
			for _, a := range all {
				errs = append(errs, e.Release(a), again(e, a))
			}
			return errors.Join(errs...)
		}, all},
		{"DEL of all", func(e *Endpoints) error {
			var errs []error
			for _, a := range all {
				errs = append(errs, e.Release(a))
			}
			return errors.Join(errs...)
		}, nil},
		{"a kill in the middle of an ADD", func(e *Endpoints) error {
			return errors.Join(os.MkdirAll(filepath.Join(e.Root(), recordsDir, scratchDir, "deep"), 0o700),
				os.Symlink("net/killed/eth0", filepath.Join(e.Root(), recordsDir, scratchDir, ownerLink)))
		}, nil},
		{"a kill in the middle of a DEL", func(e *Endpoints) error {
			id, err := e.ID(all[0])
			if errors.Is(err, ErrNoEndpoint) {
				id, err = e.ID(all[1])
			}
			return errors.Join(err, e.cni.Rename(e.record(id).dir, scratchDir))
		}, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			e := newEndpoints(t)
			for _, a := range all {
				allocate(t, e, a, "policy_")
			}
			time.Sleep(2 * portion) // they are old
			if err := inBetween(t, e, row.do); err != nil {
				t.Errorf("Collect with %s in between: %v, want success", row.name, err)
			}
			left, err := e.Attachments("net")
			testns.Must(t, err)
			want := make(map[Attachment]bool)
			for _, a := range row.want {
				want[a] = true
			}
			got := make(map[Attachment]bool)
			for _, a := range left {
				got[a] = true
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("left by Collect with %s in between (-want +got):\n%s", row.name, diff)
			}
		})
	}
}

// TestNobodyWaitsForALostBPFFS: what is mounted anew while a collector has given the
// records back is not collected.
func TestNobodyWaitsForALostBPFFS(t *testing.T) {
	e := newEndpoints(t)
	for i := range 5 {
		allocate(t, e, Attachment{"net", strconv.Itoa(i), "eth0"}, "policy_")
	}
	err := inBetween(t, e, func(*Endpoints) error {
		testns.Mount(t, "bpf", e.Root(), "mode=0700")
		mkdir(t, inRecords(e, layoutDir))
		return nil
	})
	if !errors.Is(err, ErrLocked) {
		t.Errorf("Collect with another bpffs mounted in between: %v, want %v", err, ErrLocked)
	}
}
