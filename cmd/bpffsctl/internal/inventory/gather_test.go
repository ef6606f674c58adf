package inventory

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/cni-bpffs/cni-bpffs/internal/bpf"
	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

const liveNetNS = "/proc/self/ns/net"

// one returns the only endpoint at root.
func one(t *testing.T, root string) Endpoint {
	t.Helper()
	all, err := gather(t, root)
	if err != nil || len(all) != 1 {
		t.Fatalf("Gather: got %v, %v, want one endpoint", all, err)
	}
	return all[0]
}

func TestGather(t *testing.T) {
	root := testns.BPFFS(t)
	a := bpffs.Attachment{Network: "net", ContainerID: "abc", IfName: "eth0"}
	id := add(t, root, bpffs.Details{Pod: "my-ns/web-0", NetNS: liveNetNS}, a)[0]
	got := one(t, root)
	if age := time.Since(got.Created); age < 0 || age > time.Minute {
		t.Errorf("age: got %v, want less than a minute", age)
	}
	got.Created = time.Time{}
	var sum uint64
	for i, p := range got.Pins {
		if p.MapID == 0 || p.Memory == 0 {
			t.Errorf("%s: got ID %d and %d bytes, want neither 0", p.Path, p.MapID, p.Memory)
		}
		sum += p.Memory
		got.Pins[i].MapID, got.Pins[i].Memory = 0, 0
	}
	dir := mapDir(t, root)
	want := Endpoint{
		Identity: Identity{
			ID: id, Network: "net", PodNamespace: "my-ns", PodName: "web-0", Container: "abc", Interface: "eth0",
			NetNS: liveNetNS, Root: root,
		},
		States: []State{OK}, Memory: sum, Pins: []Pin{
			{Path: dir.LocalMapPath("policy_", id), Kind: Map, Type: "hash", KeySize: 4, ValueSize: 8, MaxEntries: 10},
			{Path: dir.LocalMapPath("stats_", id), Kind: Map, Type: "percpu_array", KeySize: 4, ValueSize: 16, MaxEntries: 2},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Gather (-want +got):\n%s", diff)
	}
}

func TestStates(t *testing.T) {
	for _, tt := range []struct {
		name  string
		netns func(t *testing.T) string
		spoil func(t *testing.T, pin string)
		kind  Kind
		want  []State
	}{
		{"whole", existing, nil, Map, []State{OK}},
		{"no netns recorded", func(*testing.T) string { return "" }, nil, Map, []State{OK}},
		{"netns gone", gone, nil, Map, []State{NetNSGone}},
		{"netns unmounted", unmounted, nil, Map, []State{NetNSGone}},
		{"not even the directory", below, nil, Map, []State{OK}},
		{"netns bound to a file", bound, nil, Map, []State{OK}},
		{"process gone", func(*testing.T) string { return "/proc/4194303/ns/net" }, nil, Map, []State{NetNSGone}},
		{"pin removed", existing, remove, Missing, []State{PinMissing}},
		{"both", gone, remove, Missing, []State{PinMissing, NetNSGone}},
		{"directory instead", existing, directory, Directory, []State{PinReplaced}},
		{"map of another type instead", existing, func(t *testing.T, pin string) {
			t.Helper()
			replace(t, pin, bpf.MapAttr{Type: unix.BPF_MAP_TYPE_ARRAY, KeySize: 4, ValueSize: 8, MaxEntries: 10})
		}, Map, []State{PinReplaced}},
		{"map of the same shape instead", existing, func(t *testing.T, pin string) {
			t.Helper()
			replace(t, pin, bpf.MapAttr{Type: unix.BPF_MAP_TYPE_HASH, KeySize: 4, ValueSize: 8, MaxEntries: 10})
		}, Map, []State{PinReplaced}},
		{"another map of the endpoint instead", existing, func(t *testing.T, pin string) {
			t.Helper()
			testns.Must(t, os.Rename(pin, pin+"_away"))
			testns.Must(t, os.Rename(strings.Replace(pin, "policy_", "stats_", 1), pin))
		}, Map, []State{PinMissing, PinReplaced}},
		{"the same map, pinned anew", existing, func(t *testing.T, pin string) {
			t.Helper()
			m, err := bpf.Open(pin)
			testns.Must(t, err)
			defer m.Close()
			remove(t, pin)
			testns.Must(t, bpf.Pin(m, pin))
		}, Map, []State{OK}},
		{"replaced, and the netns gone", gone, directory, Directory, []State{PinReplaced, NetNSGone}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root := testns.BPFFS(t)
			a := bpffs.Attachment{Network: "net", ContainerID: "abc", IfName: "eth0"}
			id := add(t, root, bpffs.Details{NetNS: tt.netns(t)}, a)[0]
			if tt.spoil != nil {
				tt.spoil(t, mapDir(t, root).LocalMapPath("policy_", id))
			}
			got := one(t, root)
			if diff := cmp.Diff(tt.want, got.States); diff != "" || got.Pins[0].Kind != tt.kind {
				t.Errorf("kind of the pin: got %q, want %q; states (-want +got):\n%s", got.Pins[0].Kind, tt.kind, diff)
			}
		})
	}
}

// A name without a type is for a plugin that comes later, or never.
func TestReserved(t *testing.T) {
	root := testns.BPFFS(t)
	e, err := bpffs.CreateEndpoints(t.Context(), root)
	testns.Must(t, err)
	_, _, err = e.Allocate(bpffs.Attachment{Network: "net", ContainerID: "abc", IfName: "eth0"}, "", "policy_")
	testns.Must(t, errors.Join(err, e.Close()))
	if got := one(t, root); got.Pins[0].Kind != Reserved || !got.Is(OK) {
		t.Errorf("got %+v, want a reserved path and nothing wrong", got)
	}
}

func existing(*testing.T) string { return liveNetNS }

func gone(t *testing.T) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "cni-1")
}

// unmounted returns a path as it is left when somebody unmounts a network
// namespace and does not remove the file.
func unmounted(t *testing.T) string {
	t.Helper()
	path := gone(t)
	testns.Must(t, os.WriteFile(path, nil, 0o600))
	return path
}

func below(t *testing.T) string {
	t.Helper()
	return gone(t) + "/cni-1"
}

func bound(t *testing.T) string {
	t.Helper()
	path := unmounted(t)
	testns.Bind(t, liveNetNS, path)
	return path
}

func remove(t *testing.T, pin string) {
	t.Helper()
	testns.Must(t, os.Remove(pin))
}

func directory(t *testing.T, pin string) {
	t.Helper()
	remove(t, pin)
	testns.Must(t, os.Mkdir(pin, 0o700))
}

// replace pins a new map at the path of another.
func replace(t *testing.T, pin string, attr bpf.MapAttr) {
	t.Helper()
	remove(t, pin)
	m, err := bpf.CreateMap(attr)
	testns.Must(t, err)
	defer m.Close()
	testns.Must(t, bpf.Pin(m, pin))
}

// A name without a type is for whoever makes something there, and the record of an
// earlier version does not say which map was made.
func TestNotReplaced(t *testing.T) {
	root := testns.BPFFS(t)
	id := add(t, root, bpffs.Details{NetNS: liveNetNS}, pods(1)...)[0]
	pin := mapDir(t, root).LocalMapPath("policy_", id)
	maps := fmt.Sprintf("%s/cni/endpoints/%05d/maps", root, id)
	for _, row := range []struct {
		maps string // what the record says
		want State
	}{
		{"policy_/stats_", OK},
		{"stats_", OK},
		{"", OK},
		{"policy_.1/stats_", PinReplaced},
		{"policy_.x/stats_", OK},
	} {
		remove(t, maps)
		if row.maps != "" {
			testns.Must(t, os.Symlink(row.maps, maps))
		}
		if got := one(t, root); !got.Is(row.want) {
			t.Errorf("with the record %q: got %v of %s, want %s", row.maps, got.States, pin, row.want)
		}
		if row.maps == "" {
			testns.Must(t, os.Symlink("stats_", maps))
		}
	}
}

// A record that cannot be read is in the list, and those after it are, too.
func TestUnreadable(t *testing.T) {
	root := testns.BPFFS(t)
	id := add(t, root, bpffs.Details{NetNS: liveNetNS}, pods(1)...)[0]
	for _, broken := range []string{"00000", "00001", "65535/owner/a", "x"} {
		testns.Must(t, os.MkdirAll(filepath.Join(root, "cni/endpoints", broken), 0o700))
	}
	all, err := gather(t, root)
	if err != nil {
		t.Errorf("Gather: %v", err)
	}
	want := map[uint16]State{0: Unreadable, 1: Unreadable, 65535: Unreadable, id: OK}
	got := make(map[uint16]State)
	for _, e := range all {
		got[e.ID] = State(e.State())
		if (e.Error == "") != (e.ID == id) {
			t.Errorf("endpoint %d has error %q", e.ID, e.Error)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("states (-want +got):\n%s", diff)
	}
	if sum := Sum(all); !strings.Contains(sum, "00001") || !strings.Contains(sum, "endpoints: 4") || !strings.Contains(sum, "not ok: 3") {
		t.Errorf("Sum: got %q, want each record that is wrong, and 4 endpoints with 3 not ok", sum)
	}
}

// An endpoint that DEL removes while its maps are read is not reported as broken,
// also if another has its ID by then.
func TestReleasedMeanwhile(t *testing.T) {
	root := testns.BPFFS(t)
	as := pods(3)
	ids := add(t, root, bpffs.Details{NetNS: liveNetNS}, as...)
	all, err := Choose(t.Context(), at(root), func(all []Endpoint) []Endpoint {
		release(t, root, as[0])
		for _, id := range ids[1:] {
			remove(t, mapDir(t, root).LocalMapPath("stats_", id))
		}
		owner := fmt.Sprintf("%s/cni/endpoints/%05d/owner", root, ids[2])
		remove(t, owner)
		testns.Must(t, os.Symlink("net/other/eth0", owner))
		return all
	})
	if err != nil || len(all) != 1 || all[0].ID != ids[1] || !all[0].Is(PinMissing) {
		t.Errorf("Choose: got %+v, %v, want only endpoint %d, with a pin missing", all, err, ids[1])
	}
}

// Whoever gives up gets no half of a list.
func TestGatherCancelled(t *testing.T) {
	root := testns.BPFFS(t)
	add(t, root, bpffs.Details{NetNS: liveNetNS}, pods(2)...)
	ctx, cancel := context.WithCancel(t.Context())
	all, err := Choose(ctx, at(root), func(all []Endpoint) []Endpoint { cancel(); return all })
	if !errors.Is(err, context.Canceled) || len(all) > 0 {
		t.Errorf("Choose: got %+v, %v, want %v", all, err, context.Canceled)
	}
	if _, err := Records(ctx, at(root)); !errors.Is(err, context.Canceled) {
		t.Errorf("Records: got %v, want %v", err, context.Canceled)
	}
}

func release(t *testing.T, root string, a bpffs.Attachment) {
	t.Helper()
	e, err := bpffs.OpenEndpoints(t.Context(), root)
	testns.Must(t, err)
	defer e.Close()
	testns.Must(t, e.Release(a))
}

func TestRoots(t *testing.T) {
	testns.Need(t)
	if all, err := gather(t, ""); len(all) > 0 || err != nil {
		t.Errorf("without a bpffs: got %v, %v, want nothing", all, err)
	}
	if _, err := gather(t, t.TempDir()); err == nil {
		t.Error("a root without a bpffs is no error")
	}
	empty := testns.BPFFS(t)
	if all, err := gather(t, empty); len(all) > 0 || err != nil {
		t.Errorf("a bpffs without records: got %v, %v, want nothing", all, err)
	}
	testns.Mount(t, "bpf", bpffs.DefaultRoot, "mode=0700")
	add(t, bpffs.DefaultRoot, bpffs.Details{}, pods(1)...)
	testns.Mount(t, "tmpfs", "/run", "")
	testns.Must(t, os.MkdirAll(bpffs.DefaultFallback, 0o700))
	testns.Bind(t, bpffs.DefaultRoot, bpffs.DefaultFallback)
	wantRoots(t, bpffs.DefaultRoot)
	testns.Must(t, syscall.Unmount(bpffs.DefaultFallback, 0))
	testns.Mount(t, "bpf", bpffs.DefaultFallback, "mode=0700")
	add(t, bpffs.DefaultFallback, bpffs.Details{}, pods(1)...)
	wantRoots(t, bpffs.DefaultRoot, bpffs.DefaultFallback)
}

// wantRoots reports if there is not one endpoint in each of the roots.
func wantRoots(t *testing.T, roots ...string) {
	t.Helper()
	all, err := gather(t, "")
	testns.Must(t, err)
	var got []string
	for _, e := range all {
		got = append(got, e.Root)
	}
	if diff := cmp.Diff(roots, got); diff != "" {
		t.Errorf("roots of the endpoints (-want +got):\n%s", diff)
	}
}
