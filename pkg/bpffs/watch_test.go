package bpffs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// watched is a watch whose values are taken one by one. It goes on only when one is
// taken.
type watched struct {
	tb     testing.TB
	values chan string
}

// watchRoot watches the root until the test ends.
func watchRoot(tb testing.TB, root string) *watched {
	tb.Helper()
	ctx, cancel := context.WithCancel(tb.Context())
	w := &watched{tb, make(chan string)}
	go func() {
		defer close(w.values)
		for event, err := range Watch(ctx, root) {
			select {
			case w.values <- told(event, err):
			case <-ctx.Done():
				return
			}
		}
	}()
	tb.Cleanup(func() {
		cancel()
		for range w.values {
			continue // until it has ended
		}
	})
	return w
}

// told is what a value of the sequence says, in short.
func told(event Event, err error) string {
	ep := event.Endpoint
	switch {
	case err != nil:
		return "error " + err.Error()
	case event.Kind == Synced:
		return string(Synced)
	}
	return fmt.Sprintf("%s %05d %s in %s of %s with %d pins", event.Kind, ep.ID, ep.Attachment.ContainerID, ep.Details.NetNS, ep.Details.Pod, len(ep.Pins))
}

// want wants these values next. Of an error a part is enough.
func (w *watched) want(values ...string) {
	w.tb.Helper()
	for _, want := range values {
		select {
		case got := <-w.values:
			part, isError := strings.CutPrefix(want, "error ")
			if got != want && (!isError || !strings.Contains(got, part)) {
				w.tb.Fatalf("told: got %q, want %q", got, want)
			}
		case <-time.After(30 * time.Second):
			w.tb.Fatalf("told: got nothing for 30s, want %q", want)
		}
	}
}

// addWhole does what an ADD does with the records.
func addWhole(tb testing.TB, root, container string) (id uint16) {
	tb.Helper()
	e, err := CreateEndpoints(tb.Context(), root)
	testns.Must(tb, err)
	defer e.Close()
	id = allocate(tb, e, attachmentOf(container), "policy_")
	testns.Must(tb, e.SetDetails(id, Details{"ns/" + container, "/run/netns/" + container}))
	return id
}

func attachmentOf(container string) Attachment { return Attachment{"net", container, "eth0"} }

func release(tb testing.TB, root, container string) {
	tb.Helper()
	e, err := OpenEndpoints(tb.Context(), root)
	testns.Must(tb, err)
	defer e.Close()
	testns.Must(tb, e.Release(attachmentOf(container)))
}

func toldOf(kind EventKind, id uint16, container string) string {
	return fmt.Sprintf("%s %05d %s in /run/netns/%s of ns/%s with 1 pins", kind, id, container, container, container)
}

func TestWatch(t *testing.T) {
	root := testns.BPFFS(t)
	a := addWhole(t, root, "a")
	w := watchRoot(t, root)
	w.want(toldOf(Added, a, "a"), string(Synced))
	b := addWhole(t, root, "b")
	w.want(toldOf(Added, b, "b"))
	if again := addWhole(t, root, "b"); again != b { // tells nothing
		t.Fatalf("ADD again: got the ID %d, want %d", again, b)
	}
	release(t, root, "a")
	w.want(toldOf(Removed, a, "a"))
	release(t, root, "b")
	w.want(toldOf(Removed, b, "b"))
}

// TestWatchBeforeThereIsAnything: all that a watch needs can come later.
func TestWatchBeforeThereIsAnything(t *testing.T) {
	testns.Need(t)
	root := filepath.Join(t.TempDir(), "root")
	w := watchRoot(t, root)
	w.want(string(Synced))
	mkdir(t, root)
	testns.Mount(t, "bpf", root, "mode=0700")
	a := addWhole(t, root, "a")
	w.want(toldOf(Added, a, "a"))
}

// TestWatchHalfWrittenRecord: an endpoint counts when its ADD has recorded all.
func TestWatchHalfWrittenRecord(t *testing.T) {
	root := testns.BPFFS(t)
	w := watchRoot(t, root)
	w.want(string(Synced))
	e := openRecords(t, mapDirAt(t, root))
	half := allocate(t, e, attachmentOf("half"), "policy_")
	killed := allocate(t, e, attachmentOf("killed"), "policy_")
	testns.Must(t, e.Release(attachmentOf("killed")))
	closeRecords(t, e)
	other := addWhole(t, root, "other")
	w.want(toldOf(Added, other, "other")) // and nothing of the two
	if got := addWhole(t, root, "half"); got != half {
		t.Fatalf("ADD again: got the ID %d, want %d", got, half)
	}
	w.want(toldOf(Added, half, "half"))
	if killed == half {
		t.Errorf("two attachments have the ID %d", half)
	}
}

// TestWatchStartsAtAHalfWrittenRecord is the same of one that is there already.
func TestWatchStartsAtAHalfWrittenRecord(t *testing.T) {
	root := testns.BPFFS(t)
	e := openRecords(t, mapDirAt(t, root))
	half := allocate(t, e, attachmentOf("half"), "policy_")
	w := watchRoot(t, root)
	w.want(string(Synced))
	testns.Must(t, e.SetDetails(half, Details{"ns/half", "/run/netns/half"}))
	w.want(toldOf(Added, half, "half"))
}

// TestWatchUnmounted: a watch does not keep a bpffs busy, and sees it go and another
// one come.
func TestWatchUnmounted(t *testing.T) {
	for name, flags := range map[string]int{"umount": 0, "umount -l": syscall.MNT_DETACH} {
		t.Run(name, func(t *testing.T) {
			root := testns.BPFFS(t)
			held := t.TempDir()
			if flags != 0 {
				testns.Bind(t, root, held) // so that it lives on
			}
			a := addWhole(t, root, "a")
			w := watchRoot(t, root)
			w.want(toldOf(Added, a, "a"), string(Synced))
			testns.Must(t, syscall.Unmount(root, flags))
			w.want(toldOf(Removed, a, "a"))
			if flags != 0 {
				addWhole(t, held, "hidden") // which is not at the root any more
			}
			testns.Mount(t, "bpf", root, "mode=0700")
			b := addWhole(t, root, "b")
			w.want(toldOf(Added, b, "b"))
		})
	}
}

// TestWatchOtherRecords: what is mounted instead has other endpoints, though it may have
// the same IDs.
func TestWatchOtherRecords(t *testing.T) {
	one, two, root := testns.BPFFS(t), testns.BPFFS(t), t.TempDir()
	old, again := addWhole(t, one, "a"), addWhole(t, two, "a")
	testns.Bind(t, one, root)
	w := watchRoot(t, root)
	w.want(toldOf(Added, old, "a"), string(Synced))
	testns.Must(t, syscall.Unmount(root, 0))
	testns.Bind(t, two, root)
	w.want(toldOf(Removed, old, "a"), toldOf(Added, again, "a"))
}

// An obstacle keeps records from being seen.
type obstacle struct {
	name       string
	make, undo func(root string) error
	want       error
}

func obstacles() []obstacle {
	mount := func(fsType, below string) func(root string) error {
		return func(root string) error { return syscall.Mount(fsType, root+below, fsType, 0, "mode=0700") }
	}
	unmount := func(below string) func(root string) error {
		return func(root string) error { return unmountUnused(root + below) }
	}
	chown := func(below string, uid int) func(root string) error {
		return func(root string) error { return os.Lchown(root+below, uid, uid) }
	}
	rename := func(from, to string) func(root string) error {
		return func(root string) error { return os.Rename(root+from, root+to) }
	}
	return []obstacle{
		{"mounted over", mount("tmpfs", ""), unmount(""), ErrStacked},
		{"another bpffs over it", mount("bpf", ""), unmount(""), ErrStacked},
		{"records mounted over", mount("tmpfs", "/cni/endpoints"), unmount("/cni/endpoints"), ErrMounted},
		{"index mounted over", mount("tmpfs", "/cni/attachments"), unmount("/cni/attachments"), ErrMounted},
		{"root of another", chown("", stranger), chown("", 0), ErrUnsafe},
		{"records of another", chown("/cni", stranger), chown("/cni", 0), ErrUnsafe},
		{"unknown layout", rename("/cni/layout-1", "/cni/layout-2"), rename("/cni/layout-2", "/cni/layout-1"), ErrLayout},
	}
}

// unmountUnused unmounts what is visible at the path, once nobody looks into it.
func unmountUnused(path string) error {
	err := syscall.Unmount(path, 0)
	for start := time.Now(); errors.Is(err, syscall.EBUSY) && time.Since(start) < time.Minute; err = syscall.Unmount(path, 0) {
		time.Sleep(5 * time.Millisecond)
	}
	return err
}

// TestWatchWhatCannotBeSeen: it is an error, told once, and nothing is said to be gone.
func TestWatchWhatCannotBeSeen(t *testing.T) {
	for _, o := range obstacles() {
		t.Run(o.name, func(t *testing.T) {
			root := testns.BPFFS(t)
			a := addWhole(t, root, "a")
			w := watchRoot(t, root)
			w.want(toldOf(Added, a, "a"), string(Synced))
			testns.Must(t, o.make(root))
			w.want("error " + o.want.Error())
			testns.Mount(t, "tmpfs", t.TempDir(), "") // a reason to look again
			testns.Must(t, o.undo(root))
			b := addWhole(t, root, "b")
			w.want(toldOf(Added, b, "b"))
		})
	}
}

// TestWatchAtStartWhatCannotBeSeen: nobody is told that all was told before it was.
func TestWatchAtStartWhatCannotBeSeen(t *testing.T) {
	root := testns.BPFFS(t)
	a := addWhole(t, root, "a")
	testns.Chown(t, root, stranger)
	w := watchRoot(t, root)
	w.want("error " + ErrUnsafe.Error())
	testns.Chown(t, root, 0)
	w.want(toldOf(Added, a, "a"), string(Synced))
}

// TestWatchUnreadableRecords: they are errors beside the others, and are looked at
// again when they change.
func TestWatchUnreadableRecords(t *testing.T) {
	root := testns.BPFFS(t)
	a := addWhole(t, root, "a")
	record := filepath.Join(root, recordsDir, endpointsDir, "00007")
	link(t, "/run/netns/bad", filepath.Join(record, netNSLink))
	mkdir(t, filepath.Join(root, recordsDir, endpointsDir, "stranger"))
	w := watchRoot(t, root)
	w.want("error record of endpoint 7: it has no owner")
	if a < 7 {
		t.Fatalf("the ID %d is told before 7: choose another container", a)
	}
	w.want(toldOf(Added, a, "a"), `error "stranger" is not an endpoint ID`, string(Synced))
	link(t, "net/bad/eth0", filepath.Join(record, ownerLink))
	w.want("added 00007 bad in /run/netns/bad of  with 0 pins")
}

// TestWatchHandedOn: where an ID goes on to another attachment between two looks, both
// are told.
func TestWatchHandedOn(t *testing.T) {
	root := testns.BPFFS(t)
	a := addWhole(t, root, "a")
	w := watchRoot(t, root)
	w.want(toldOf(Added, a, "a"))
	// The watch waits to tell that it is synced.
	release(t, root, "a")
	e := openRecords(t, mapDirAt(t, root))
	testns.Must(t, e.insert(attachmentOf("b"), a, pinGroup{DefaultMapPrefix, []string{"policy_"}}))
	testns.Must(t, e.SetDetails(a, Details{"ns/b", "/run/netns/b"}))
	w.want(string(Synced), toldOf(Removed, a, "a"), toldOf(Added, a, "b"))
}

// TestWatchOverflow: when the kernel has dropped events, all is looked at again.
func TestWatchOverflow(t *testing.T) {
	limit, err := os.ReadFile("/proc/sys/fs/inotify/max_queued_events")
	testns.Must(t, err)
	most, err := strconv.Atoi(strings.TrimSpace(string(limit)))
	testns.Must(t, err)
	root := testns.BPFFS(t)
	a := addWhole(t, root, "a")
	w := watchRoot(t, root)
	w.want(toldOf(Added, a, "a"))
	for i := range most/2 + 1 { // two events each
		dir := filepath.Join(root, "noise"+strconv.Itoa(i%2))
		testns.Must(t, os.Mkdir(dir, 0o700))
		testns.Must(t, os.Remove(dir))
	}
	release(t, root, "a")
	b := addWhole(t, root, "b")
	w.want(string(Synced), toldOf(Removed, a, "a"), toldOf(Added, b, "b"))
}

func TestWatchReadOnly(t *testing.T) {
	root, seen := testns.BPFFS(t), t.TempDir()
	testns.Bind(t, root, seen)
	testns.Must(t, syscall.Mount("", seen, "", syscall.MS_REMOUNT|syscall.MS_BIND|syscall.MS_RDONLY, ""))
	w := watchRoot(t, seen)
	w.want(string(Synced))
	a := addWhole(t, root, "a")
	w.want(toldOf(Added, a, "a"))
}

// TestWatchEnds: by the context with its error, by break without, and where it can never
// find anything; it leaves no file open.
func TestWatchEnds(t *testing.T) {
	root := testns.BPFFS(t)
	addWhole(t, root, "a")
	before := openFiles(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var last error
	for event, err := range Watch(ctx, root) {
		if last = err; event.Kind == Synced {
			cancel()
		}
	}
	if !errors.Is(last, context.Canceled) {
		t.Errorf("the last value when the context is done: %v, want %v", last, context.Canceled)
	}
	for _, err := range Watch(t.Context(), root) {
		testns.Must(t, err)
		break
	}
	for _, err := range Watch(t.Context(), "relative") {
		if !errors.Is(err, ErrBadRoot) {
			t.Errorf("watching a relative path: %v, want %v", err, ErrBadRoot)
		}
	}
	if diff := cmp.Diff(before, openFiles(t)); diff != "" {
		t.Errorf("open files after three watches (-before +after):\n%s", diff)
	}
}

// TestWatchRace: whatever comes and goes by other processes, what was told in the end is
// what is recorded, and nothing was told twice.
func TestWatchRace(t *testing.T) {
	root := testns.BPFFS(t)
	there := make(map[Attachment]uint16)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var crowd sync.WaitGroup
	crowd.Go(func() {
		for i, m := range testns.Crowd(t, 8, "come and go", func(i int) []string {
			return []string{envRoot + "=" + root, envNumber + "=" + strconv.Itoa(i)}
		}) {
			if m.Err != nil {
				t.Errorf("process %d: %v: %s", i, m.Err, m.Stderr)
			}
		}
		addWhole(t, root, "last")
	})
	for event, err := range Watch(ctx, root) {
		if errors.Is(err, context.Canceled) {
			break
		}
		testns.Must(t, err)
		a, id := event.Endpoint.Attachment, event.Endpoint.ID
		switch has := there[a]; event.Kind {
		case Added:
			if has != 0 || len(event.Endpoint.Pins) != 1 || event.Endpoint.Details.NetNS == "" {
				t.Errorf("added: %+v, where the same attachment had the ID %d", event.Endpoint, has)
			}
			if there[a] = id; a.ContainerID == "last" {
				cancel()
			}
		case Removed:
			if has != id {
				t.Errorf("removed: %v with the ID %d, which had %d", a, id, has)
			}
			delete(there, a)
		}
	}
	crowd.Wait()
	left, err := LookUp(t.Context(), root, Query{})
	testns.Must(t, err)
	want := make(map[Attachment]uint16)
	for _, ep := range left {
		want[ep.Attachment] = ep.ID
	}
	if diff := cmp.Diff(want, there); diff != "" {
		t.Errorf("what is there (-recorded +told):\n%s", diff)
	}
}

// roleComeAndGo adds and releases attachments of its own, and leaves those of the last
// round.
func roleComeAndGo(io.Writer) error {
	testns.Await()
	const rounds, each = 5, 60
	for round := range rounds {
		for n := range each {
			if err := comeOrGo(attachmentOf(fmt.Sprintf("%s-%d", os.Getenv(envNumber), n)), round%2 == 0); err != nil {
				return err
			}
		}
	}
	return nil
}

func comeOrGo(a Attachment, come bool) error {
	e, err := CreateEndpoints(context.Background(), os.Getenv(envRoot))
	if err != nil {
		return err
	}
	defer e.Close()
	if !come {
		return e.Release(a)
	}
	id, _, err := e.Allocate(a, "", "policy_")
	if err != nil {
		return err
	}
	return e.SetDetails(id, Details{NetNS: "/run/netns/" + a.ContainerID})
}

// openFiles returns how many files this process has open, by what they are.
func openFiles(tb testing.TB) map[string]int {
	tb.Helper()
	links, err := filepath.Glob("/proc/self/fd/*")
	testns.Must(tb, err)
	all := make(map[string]int)
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil {
			all[target]++
		}
	}
	return all
}
