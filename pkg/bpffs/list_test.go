package bpffs

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestAll(t *testing.T) {
	e := newEndpoints(t)
	var want []Endpoint
	for _, a := range []Attachment{{"net", "pod", "eth0"}, {"my.net", "pod", "eth0"}, {"net", "pod", "eth1"}} {
		id := allocate(t, e, a, "b_", "a_", "c_")
		want = append(want, Endpoint{ID: id, Attachment: a, Pins: []string{
			mapsOf(e).LocalMapPath("a_", id), mapsOf(e).LocalMapPath("b_", id), mapsOf(e).LocalMapPath("c_", id),
		}})
	}
	slices.SortFunc(want, func(a, b Endpoint) int { return int(a.ID) - int(b.ID) })
	var got []Endpoint
	for ep, err := range e.All() {
		if err != nil {
			t.Errorf("All: %v", err)
		}
		if age := time.Since(ep.Created); age < 0 || age > time.Minute {
			t.Errorf("All: endpoint %d was created %v ago; want less than a minute", ep.ID, age)
		}
		ep.Created = time.Time{}
		got = append(got, ep)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("All (-want +got):\n%s", diff)
	}
}

func TestAllGoesOnAfterBrokenRecords(t *testing.T) {
	e := newEndpoints(t)
	for ep, err := range e.All() {
		t.Errorf("All yields %v, %v although nothing was allocated", ep, err)
	}
	whole := allocate(t, e, Attachment{"net", "pod", "eth0"})
	for _, broken := range []string{"00000", "65536", "x", "00001", "00002/owner"} {
		mkdir(t, inRecords(e, endpointsDir, broken))
	}
	for id, owner := range map[string]string{"00003": "a/b/c%", "00004": "a/b", "00005": "a/b/c/d"} {
		link(t, owner, inRecords(e, endpointsDir, id, ownerLink))
	}
	var read, failed int
	for ep, err := range e.All() {
		switch {
		case err != nil:
			failed++
		case ep.ID == whole:
			read++
		default:
			t.Errorf("All yields %v; want an error", ep)
		}
	}
	if read != 1 || failed != 8 {
		t.Errorf("All yields %d endpoints and %d errors; want 1 and 8", read, failed)
	}
}

func TestEndpointByID(t *testing.T) {
	e := newEndpoints(t)
	if ids, err := e.IDs(t.Context()); len(ids) > 0 || err != nil {
		t.Errorf("IDs without records = %v, %v; want none", ids, err)
	}
	id := allocate(t, e, Attachment{"net", "pod", "eth0"}, "a_")
	other := allocate(t, e, Attachment{"net", "pod", "eth1"})
	for all, err := range e.All() {
		got, gerr := e.Endpoint(all.ID)
		if diff := cmp.Diff(all, got); diff != "" || err != nil || gerr != nil {
			t.Errorf("Endpoint(%d): %v, %v (-All +got):\n%s", all.ID, err, gerr, diff)
		}
	}
	const broken = 2
	mkdir(t, inRecords(e, endpointsDir, "x"), inRecords(e, endpointsDir, formatID(broken)))
	ids, err := e.IDs(t.Context())
	want := []uint16{id, other, broken}
	slices.Sort(want)
	if diff := cmp.Diff(want, ids); diff != "" || err == nil || !strings.Contains(err.Error(), `"x"`) {
		t.Errorf("IDs: %v; want an error about x (-want +got):\n%s", err, diff)
	}
	if _, err := e.Endpoint(broken); err == nil || errors.Is(err, ErrNoEndpoint) {
		t.Errorf("Endpoint without an owner: %v; want an error other than %v", err, ErrNoEndpoint)
	}
	if _, err := e.Endpoint(7); !errors.Is(err, ErrNoEndpoint) {
		t.Errorf("Endpoint without a record: %v; want %v", err, ErrNoEndpoint)
	}
}

func TestAllStops(t *testing.T) {
	e := newEndpoints(t)
	allocate(t, e, Attachment{"net", "pod", "eth0"})
	allocate(t, e, Attachment{"net", "pod", "eth1"})
	seen := 0
	for _, err := range e.All() {
		if err != nil {
			t.Errorf("All: %v", err)
		}
		seen++
		break
	}
	if seen != 1 {
		t.Errorf("All yielded %d endpoints before the break; want 1", seen)
	}
}

func TestAttachments(t *testing.T) {
	e := newEndpoints(t)
	mine := []Attachment{{"my.net", "a.b", "eth0"}, {"my.net", "a.b", "eth0.1"}, {"my.net", "other", "eth0"}}
	for _, a := range append(mine[:2:2], Attachment{"net", "pod", "eth0"}) {
		allocate(t, e, a)
	}
	mkdir(t, inRecords(e, attachmentsDir, mine[2].path(), "00001")) // left by a process that was killed
	for _, row := range []struct {
		network string
		want    []Attachment
	}{
		{"my.net", mine},
		{"net", []Attachment{{"net", "pod", "eth0"}}},
		{"unknown", nil},
		{"my", nil},
	} {
		got, err := e.Attachments(row.network)
		slices.SortFunc(got, func(a, b Attachment) int { return strings.Compare(a.path(), b.path()) })
		if diff := cmp.Diff(row.want, got); err != nil || diff != "" {
			t.Errorf("Attachments(%q): %v (-want +got):\n%s", row.network, err, diff)
		}
	}
}

func TestAttachmentsReportsForeignNames(t *testing.T) {
	e := newEndpoints(t)
	want := []Attachment{{"net", "pod", "eth0"}}
	allocate(t, e, want[0])
	mkdir(t, inRecords(e, attachmentsDir, "net", "a%b", "eth0", "00001"), inRecords(e, attachmentsDir, "net", "pod", "%2e"))
	got, err := e.Attachments("net")
	if err == nil || !strings.Contains(err.Error(), "a%b") || !strings.Contains(err.Error(), "%2e") {
		t.Errorf("Attachments with foreign names in the index: %v; want both named", err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Attachments with foreign names in the index (-want +got):\n%s", diff)
	}
}

// An empty network stands for the whole index, whose parts must not be taken for
// attachments to it.
func TestAttachmentsOfNoNetwork(t *testing.T) {
	e := newEndpoints(t)
	allocate(t, e, Attachment{"net", "pod", "eth0"})
	got, err := e.Attachments("")
	if len(got) > 0 {
		t.Errorf("Attachments(\"\") = %v, %v; want none", got, err)
	}
}
