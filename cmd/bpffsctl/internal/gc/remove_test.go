package gc

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/inventory"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/places"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/testadd"
	"github.com/cni-bpffs/cni-bpffs/internal/podfs"
	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

func TestMain(m *testing.M) {
	os.Exit(testns.Main(m))
}

// change opens the records at root for do.
func change(t *testing.T, root string, do func(*bpffs.Endpoints) error) {
	t.Helper()
	e, err := bpffs.CreateEndpoints(t.Context(), root)
	testns.Must(t, err)
	defer e.Close()
	testns.Must(t, do(e))
}

// allocate does what ADD does for the attachment.
func allocate(t *testing.T, root string, a bpffs.Attachment, netns string) {
	t.Helper()
	_, err := testadd.Add(t.Context(), root, a, bpffs.Details{NetNS: netns}, bpffs.MapDecl{
		Name: "policy_", Spec: bpffs.MapSpec{Type: unix.BPF_MAP_TYPE_ARRAY, KeySize: 4, ValueSize: 4, MaxEntries: 1},
	})
	testns.Must(t, err)
}

// decisions returns one to remove for every record at root.
func decisions(t *testing.T, root string) (all []Decision) {
	t.Helper()
	records, err := inventory.Records(t.Context(), places.Where{Roots: bpffs.Roots{Root: root}})
	testns.Must(t, err)
	for _, r := range records {
		all = append(all, Decision{r, Remove, "its container is gone"})
	}
	return all
}

// What happens to an endpoint between the decision and its removal counts.
func TestDo(t *testing.T) {
	a := bpffs.Attachment{Network: "net", ContainerID: "abc", IfName: "eth0"}
	gone := filepath.Join(t.TempDir(), "cni-1")
	for _, tt := range []struct {
		name   string
		force  bool
		before func(t *testing.T, root string)
		want   Action
		reason string
		left   int // records
	}{
		{"as decided", false, func(*testing.T, string) {}, Removed, "gone", 0},
		{"released", false, func(t *testing.T, root string) {
			t.Helper()
			change(t, root, func(e *bpffs.Endpoints) error { return e.Release(a) })
		}, Spare, "no endpoint", 0},
		{"added anew", false, func(t *testing.T, root string) {
			t.Helper()
			change(t, root, func(e *bpffs.Endpoints) error { return e.Release(a) })
			time.Sleep(20 * time.Millisecond) // the kernel's clock for files ticks more slowly
			allocate(t, root, a, gone)
		}, Spare, "in use again, by attachment eth0", 1},
		{"added again, with force", true, func(t *testing.T, root string) {
			t.Helper()
			allocate(t, root, a, gone)
		}, Spare, "in use again, by attachment eth0", 1},
		{"netns there again", false, func(t *testing.T, _ string) {
			t.Helper()
			comesAgain(t, gone)
		}, Spare, "its network namespace is still there", 1},
		{"netns there again, with force", true, func(t *testing.T, _ string) {
			t.Helper()
			comesAgain(t, gone)
		}, Removed, "gone", 0},
		{"not in the index", false, func(t *testing.T, root string) {
			t.Helper()
			remove(t, filepath.Join(root, "cni/attachments/net/abc/eth0"))
		}, Failed, "index", 1},
		{"a pin that cannot be removed", false, func(t *testing.T, root string) {
			t.Helper()
			pin := filepath.Join(root, "tc/globals/policy_*")
			path := remove(t, pin)
			testns.Must(t, os.Mkdir(path, 0o700))
			testns.Mount(t, "tmpfs", path, "")
		}, Failed, "cannot remove a pin", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root := testns.BPFFS(t)
			allocate(t, root, a, gone)
			all := decisions(t, root)
			tt.before(t, root)
			o := Options{Force: tt.force}
			Do(t.Context(), all, o.Stays)
			if all[0].Action != tt.want || !strings.Contains(all[0].Reason, tt.reason) {
				t.Errorf("%s: got %s, want %s: … %s …", all[0].Action, all[0].Reason, tt.want, tt.reason)
			}
			if left := decisions(t, root); len(left) != tt.left {
				t.Errorf("got %d records left, want %d", len(left), tt.left)
			}
		})
	}
}

// comesAgain makes a network namespace be at the path until the test ends.
func comesAgain(t *testing.T, path string) {
	t.Helper()
	testns.Must(t, os.WriteFile(path, nil, 0o600))
	t.Cleanup(func() { testns.Must(t, os.Remove(path)) })
	testns.Bind(t, "/proc/self/ns/net", path)
}

// remove removes the only path that the pattern means, and returns it.
func remove(t *testing.T, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(pattern)
	if err != nil || len(found) != 1 {
		t.Fatalf("%s: got %q, %v, want one", pattern, found, err)
	}
	testns.Must(t, os.Remove(found[0]))
	return found[0]
}

// What is spared is not touched, and one failure does not end it.
func TestDoAll(t *testing.T) {
	root := testns.BPFFS(t)
	for _, container := range []string{"a", "b", "c"} {
		allocate(t, root, bpffs.Attachment{Network: "net", ContainerID: container, IfName: "eth0"}, t.TempDir()+"/cni-1")
	}
	all := decisions(t, root)
	all[0].Root = t.TempDir()
	all[1].Action = Spare
	Do(t.Context(), all, new(Options).Stays)
	if all[0].Action != Failed || all[1].Action != Spare || all[2].Action != Removed {
		t.Errorf("Do: got %v, %v, %v, want failed, spare, removed", all[0].Action, all[1].Action, all[2].Action)
	}
	if left := decisions(t, root); len(left) != 2 {
		t.Errorf("got %d records left, want 2", len(left))
	}
}

// What the pod of a removed endpoint sees in its volume goes with it, and nothing else.
func TestDoVolumes(t *testing.T) {
	theirs := func(t *testing.T, dir string) {
		t.Helper()
		testns.Must(t, os.WriteFile(filepath.Join(dir, "theirs"), nil, 0o600))
	}
	for _, row := range []struct {
		name   string
		change func(t *testing.T, dir string)
		left   []string // in the volume
	}{
		{"as it was", func(*testing.T, string) {}, nil},
		{"unmounted", func(t *testing.T, dir string) {
			t.Helper()
			testns.Must(t, unix.Unmount(dir+"/eth0/maps", unix.MNT_DETACH))
		}, nil},
		{"with a file of the pod", theirs, []string{"theirs"}},
		{"moved", func(t *testing.T, dir string) {
			t.Helper()
			testns.Must(t, os.Rename(dir+"/eth0", dir+"/theirs"))
		}, []string{"theirs"}},
		{"the volume removed", func(t *testing.T, dir string) {
			t.Helper()
			testns.Must(t, unix.Unmount(dir+"/eth0/maps", unix.MNT_DETACH))
			testns.Must(t, os.RemoveAll(dir))
		}, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			root, v := testns.BPFFS(t), testadd.Volume{KubeletDir: t.TempDir(), UID: "0a1b-2c"}
			m := bpffs.MapDecl{Name: "policy_", Pod: bpffs.PodReads, Spec: bpffs.MapSpec{Type: unix.BPF_MAP_TYPE_ARRAY, KeySize: 4, ValueSize: 4, MaxEntries: 1}}
			id, err := testadd.Add(t.Context(), root, bpffs.Attachment{Network: "net", ContainerID: "a", IfName: "eth0"}, bpffs.Details{NetNS: t.TempDir() + "/cni-1"}, m)
			testns.Must(t, err)
			testns.Must(t, v.Show(t.Context(), root, id, m))
			row.change(t, v.Path())
			all := decisions(t, root)
			Do(t.Context(), all, new(Options).Stays)
			mounted, err := podfs.Mounts()
			if all[0].Action != Removed || err != nil || len(mounted) > 0 {
				t.Errorf("Do: got %s: %s, and still mounted are %v, %v; want that it is removed", all[0].Action, all[0].Reason, mounted, err)
			}
			var left []string
			entries, _ := os.ReadDir(v.Path()) // there may be none
			for _, e := range entries {
				left = append(left, e.Name())
			}
			if diff := cmp.Diff(row.left, left); diff != "" {
				t.Errorf("left in the volume (-want +got):\n%s", diff)
			}
		})
	}
}

// Nothing more is removed once somebody presses Ctrl-C.
func TestDoCancelled(t *testing.T) {
	root := testns.BPFFS(t)
	allocate(t, root, bpffs.Attachment{Network: "net", ContainerID: "a", IfName: "eth0"}, t.TempDir()+"/cni-1")
	all := decisions(t, root)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	Do(ctx, all, new(Options).Stays)
	if left := decisions(t, root); all[0].Action != Failed || len(left) != 1 {
		t.Errorf("Do: got %s: %s, and %d records are left, want failed, and 1", all[0].Action, all[0].Reason, len(left))
	}
}
