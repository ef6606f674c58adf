package bpffs

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// lookUp wants the query to find these attachments, in any order.
func lookUp(t *testing.T, root string, q Query, want ...Attachment) {
	t.Helper()
	found, err := LookUp(t.Context(), root, q)
	if err != nil {
		t.Errorf("LookUp of %+v: %v", q, err)
	}
	expectAttachments(t, q, found, want)
}

func expectAttachments(t *testing.T, q Query, found []Endpoint, want []Attachment) {
	t.Helper()
	got, wanted := make(map[Attachment]bool), make(map[Attachment]bool)
	for _, ep := range found {
		got[ep.Attachment] = true
	}
	for _, a := range want {
		wanted[a] = true
	}
	if diff := cmp.Diff(wanted, got); diff != "" || len(found) != len(want) {
		t.Errorf("LookUp of %+v: got %d endpoints, want %d (-want +got):\n%s", q, len(found), len(want), diff)
	}
}

func TestLookUp(t *testing.T) {
	root, netns := testns.BPFFS(t), t.TempDir()
	e := openRecords(t, mapDirAt(t, root))
	web := []Attachment{{"net", "web.1", "eth0"}, {"net", "web.1", "net1"}, {"other", "web.1", "eth0"}}
	db := Attachment{"net", "db", "eth0"}
	for _, a := range append(web, db) {
		id := allocate(t, e, a, "policy_")
		testns.Must(t, e.SetDetails(id, Details{Pod: "shop/" + a.ContainerID, NetNS: netns + "/" + a.ContainerID}))
	}
	podman := Attachment{"net", "podman", "eth0"} // of no pod
	testns.Must(t, e.SetDetails(allocate(t, e, podman), Details{NetNS: netns + "/podman"}))
	link(t, formatID(7), inRecords(e, attachmentsDir, "net/killed/eth0")) // what a kill leaves
	closeRecords(t, e)
	for _, tt := range []struct {
		query Query
		want  []Attachment
	}{
		{Query{}, append(web[:3:3], db, podman)},
		{Query{ContainerID: "web.1"}, web},
		{Query{ContainerID: "web.1", Network: "net"}, web[:2]},
		{Query{ContainerID: "web.1", IfName: "eth0"}, []Attachment{web[0], web[2]}},
		{Query{ContainerID: "web.1", Network: "net", IfName: "net1"}, web[1:2]},
		{Query{ContainerID: "web.1", Pod: "shop/db"}, nil},
		{Query{ContainerID: "web"}, nil}, // the beginning is not enough
		{Query{ContainerID: "killed"}, nil},
		{Query{ContainerID: strings.Repeat("c", maxName+1)}, nil},
		{Query{ContainerID: "web.1", Network: "none"}, nil},
		{Query{Network: "other"}, web[2:]},
		{Query{IfName: "net1"}, web[1:2]},
		{Query{Pod: "shop/web.1"}, web},
		{Query{Pod: "shop/web.1", Network: "net", IfName: "eth0"}, web[:1]},
		{Query{Pod: "web.1"}, nil}, // of any namespace
		{Query{Pod: "shop/none"}, nil},
		{Query{NetNS: netns + "/db"}, []Attachment{db}},
		{Query{NetNS: netns + "/none"}, nil},
	} {
		lookUp(t, root, tt.query, tt.want...)
	}
}

// TestLookUpNetNS: any path to a namespace will do that this process sees, and what it
// does not see is not none.
func TestLookUpNetNS(t *testing.T) {
	root, dir := testns.BPFFS(t), t.TempDir()
	recorded, alias := filepath.Join(dir, "recorded"), filepath.Join(dir, "alias")
	for _, path := range []string{recorded, alias} {
		testns.Must(t, os.WriteFile(path, nil, 0o600))
		testns.Bind(t, "/proc/self/ns/net", path)
	}
	e := openRecords(t, mapDirAt(t, root))
	set := func(netns string) {
		t.Helper()
		testns.Must(t, e.SetDetails(allocate(t, e, attachmentOf("a")), Details{NetNS: netns}))
	}
	for _, tt := range []struct {
		name, recorded, wanted string
		found                  bool
		err                    error
	}{
		{"the same path", recorded, recorded, true, nil},
		{"another path to it", recorded, alias, true, nil},
		{"the path of a process", recorded, "/proc/thread-self/ns/net", true, nil},
		{"another namespace", recorded, "/proc/thread-self/ns/mnt", false, nil},
		{"the same path, gone", dir + "/gone", dir + "/gone", true, nil},
		{"the recorded one is gone", dir + "/gone", alias, false, nil},
		{"the process of the recorded one is gone", "/proc/4194305/ns/net", alias, false, nil},
		{"the recorded one is not seen here", "/nowhere/netns/a", alias, false, fs.ErrNotExist},
		{"the recorded one is not seen here, the same path", "/nowhere/netns/a", "/nowhere/netns/a", true, nil},
		{"the wanted one is not seen here", recorded, "/nowhere/netns/a", false, fs.ErrNotExist},
		{"none is recorded", "", alias, false, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			testns.Must(t, e.Release(attachmentOf("a")))
			set(tt.recorded)
			e.giveBack()
			q := Query{NetNS: tt.wanted}
			found, err := LookUp(t.Context(), root, q)
			if !errors.Is(err, tt.err) {
				t.Errorf("LookUp of %+v: %v, want %v", q, err, tt.err)
			}
			var want []Attachment
			if tt.found {
				want = []Attachment{attachmentOf("a")}
			}
			expectAttachments(t, q, found, want)
			testns.Must(t, e.pause(t.Context()))
		})
	}
}

// TestLookUpWhatCannotBeSeen: it is an error, whatever is looked up.
func TestLookUpWhatCannotBeSeen(t *testing.T) {
	nothing := func(string) error { return nil }
	all := append(obstacles(),
		obstacle{"no bpffs", func(root string) error { return syscall.Unmount(root, 0) }, nothing, ErrNotMounted},
		obstacle{"another's directory", func(root string) error {
			cni := root + "/cni"
			return errors.Join(os.Rename(cni, root+"/away"), os.Mkdir(cni, 0o700), os.Lchown(cni, stranger, stranger))
		}, nothing, ErrNotOurs},
	)
	for _, o := range all {
		t.Run(o.name, func(t *testing.T) {
			root := testns.BPFFS(t)
			addWhole(t, root, "a")
			testns.Must(t, o.make(root))
			for _, q := range []Query{{}, {ContainerID: "a"}, {ContainerID: "none"}, {Pod: "ns/none"}} {
				if found, err := LookUp(t.Context(), root, q); !errors.Is(err, o.want) || len(found) > 0 {
					t.Errorf("LookUp of %+v: got %v, %v, want %v", q, found, err, o.want)
				}
			}
			testns.Must(t, o.undo(root))
		})
	}
}

// TestLookUpHiddenIndex: where something is mounted on the way to a container, it is not
// known which endpoints that has.
func TestLookUpHiddenIndex(t *testing.T) {
	for _, hidden := range []string{"net", "net/a"} {
		root := testns.BPFFS(t)
		addWhole(t, root, "a")
		testns.Mount(t, "tmpfs", filepath.Join(root, recordsDir, attachmentsDir, hidden), "")
		for _, q := range []Query{
			{ContainerID: "a"}, {ContainerID: "a", IfName: "eth0"}, {ContainerID: "a", Network: "net"}, {ContainerID: "a", Network: "net", IfName: "eth0"},
		} {
			if found, err := LookUp(t.Context(), root, q); !errors.Is(err, ErrMounted) || len(found) > 0 {
				t.Errorf("LookUp of %+v with something mounted at %s: got %v, %v, want %v", q, hidden, found, err, ErrMounted)
			}
		}
	}
}

// TestLookUpBesideUnreadableRecords: what can be read is found all the same.
func TestLookUpBesideUnreadableRecords(t *testing.T) {
	root := testns.BPFFS(t)
	addWhole(t, root, "a")
	mkdir(t, filepath.Join(root, recordsDir, endpointsDir, "00007"))
	for _, tt := range []struct {
		query Query
		sure  bool
	}{
		{Query{Pod: "ns/a"}, false}, // the other may be its, too
		{Query{ContainerID: "a"}, true},
	} {
		found, err := LookUp(t.Context(), root, tt.query)
		if (err == nil) != tt.sure {
			t.Errorf("LookUp of %+v beside a record without an owner: %v, want an error: %t", tt.query, err, !tt.sure)
		}
		expectAttachments(t, tt.query, found, []Attachment{attachmentOf("a")})
	}
}

// TestLookUpReadOnly: what a killed process left is in nobody's way.
func TestLookUpReadOnly(t *testing.T) {
	root := testns.BPFFS(t)
	addWhole(t, root, "a")
	mkdir(t, filepath.Join(root, recordsDir, scratchDir))
	testns.Must(t, syscall.Mount("", root, "", syscall.MS_REMOUNT|syscall.MS_BIND|syscall.MS_RDONLY, ""))
	lookUp(t, root, Query{ContainerID: "a"}, attachmentOf("a"))
	lookUp(t, root, Query{}, attachmentOf("a"))
}

// TestLookUpWaits: an ADD that is just recording is waited for.
func TestLookUpWaits(t *testing.T) {
	dir := newMapDir(t)
	testns.Start(t, "hold records", envRoot+"="+dir.Root())
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if found, err := LookUp(ctx, dir.Root(), Query{}); !errors.Is(err, ErrLocked) {
		t.Errorf("LookUp while another process has the records: got %v, %v, want %v", found, err, ErrLocked)
	}
}

func TestLookUpWithoutRecords(t *testing.T) {
	root := testns.BPFFS(t)
	for _, dir := range []string{"", "cni", "cni/layout-1"} {
		mkdir(t, filepath.Join(root, dir))
		want := ErrNoRecords
		if dir == "cni/layout-1" { // a plugin was there, and no pod
			want = nil
		}
		if found, err := LookUp(t.Context(), root, Query{}); len(found) > 0 || !errors.Is(err, want) {
			t.Errorf("LookUp in a bpffs with %q: got %v, %v; want none, %v", dir, found, err, want)
		}
	}
}
