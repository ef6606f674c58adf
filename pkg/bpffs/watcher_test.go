package bpffs

import (
	"context"
	"errors"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// A look is what a watch does after each change.

func looking(t *testing.T, root string) *watcher {
	t.Helper()
	w, err := newWatcher(root)
	testns.Must(t, err)
	t.Cleanup(func() { testns.Must(t, w.notifier.Close()) })
	return w
}

// lookOnce looks and returns what was to be told.
func lookOnce(t *testing.T, w *watcher) []news {
	t.Helper()
	w.news = nil
	testns.Must(t, w.look())
	return w.news
}

func TestLookTellsAnErrorOnce(t *testing.T) {
	root := testns.BPFFS(t)
	addWhole(t, root, "a")
	w := looking(t, root)
	for _, uid := range []int{stranger, stranger + 1} {
		testns.Chown(t, root, uid)
		for i, want := range []int{1, 0, 0} {
			if got := lookOnce(t, w); len(got) != want || want > 0 && !errors.Is(got[0].err, ErrUnsafe) {
				t.Errorf("look %d at a root of user %d: told %v, want %d error", i, uid, got, want)
			}
		}
	}
	testns.Chown(t, root, 0)
	if got := lookOnce(t, w); len(got) != 2 {
		t.Errorf("a look at what can be seen again: told %v, want the endpoint, and that all was told", got)
	}
	testns.Chown(t, root, stranger)
	if got := lookOnce(t, w); len(got) != 1 {
		t.Errorf("a look at what cannot be seen again: told %v, want an error", got)
	}
}

// TestLookAtWhatIsReleased: while a record is read it can be moved away, and taken apart.
// What was read of it is told only if it is in its place afterwards.
func TestLookAtWhatIsReleased(t *testing.T) {
	e := newEndpoints(t)
	a := attachmentOf("a")
	id := allocate(t, e, a, "policy_")
	testns.Must(t, e.SetDetails(id, Details{NetNS: "/run/netns/a"}))
	dir, err := e.cni.Open(e.record(id).dir)
	testns.Must(t, err)
	defer dir.Close()
	w := looking(t, e.Root())
	scratch := inRecords(e, scratchDir)
	for _, step := range []struct {
		name string
		do   func() error
		told int
	}{
		{"in its place", func() error { return nil }, 1},
		{"moved away", func() error { return os.Rename(inRecords(e, e.record(id).dir), scratch) }, 0},
		{"taken apart", func() error { return os.Remove(scratch + "/" + ownerLink) }, 0},
		{"another in its place", func() error {
			testns.Must(t, e.clearScratch())
			_, _, err := e.Allocate(a, "", "policy_")
			return err
		}, 0},
	} {
		testns.Must(t, step.do())
		w.news = nil
		testns.Must(t, w.report(e, record{dir, id, "."}, formatID(id)))
		if len(w.news) != step.told {
			t.Errorf("a record that is %s: told %v, want %d", step.name, w.news, step.told)
		}
	}
}

// releasedUnseen returns a watcher that told of an endpoint, which was released since.
func releasedUnseen(t *testing.T) (e *Endpoints, w *watcher, a Attachment, id uint16) {
	t.Helper()
	e, a = newEndpoints(t), attachmentOf("a")
	id = allocate(t, e, a, "policy_")
	testns.Must(t, e.SetDetails(id, Details{NetNS: "/run/netns/a"}))
	w = looking(t, e.Root())
	lookOnce(t, w)
	testns.Must(t, e.Release(a))
	return e, w, a, id
}

// TestLookAtAnAttachmentThatHasAnotherID: that of the new ID can be seen before the
// notice that the old one is gone.
func TestLookAtAnAttachmentThatHasAnotherID(t *testing.T) {
	e, w, a, old := releasedUnseen(t)
	mkdir(t, mapsOf(e).LocalMapPath("policy_", old)) // so that it gets another one
	id := allocate(t, e, a, "policy_")
	testns.Must(t, e.SetDetails(id, Details{NetNS: "/run/netns/a"}))
	w.news = nil
	testns.Must(t, w.read(e, formatID(id)))
	testns.Must(t, w.read(e, formatID(old)))
	if len(w.news) != 2 || w.news[0].Kind != Removed || w.news[0].Endpoint.ID != old || w.news[1].Kind != Added || w.news[1].Endpoint.ID != id {
		t.Errorf("told: got %v, want that %d was removed and then %d added", w.news, old, id)
	}
}

// TestLookAtAnIDThatAKilledADDHas: the endpoint that had the ID is gone, whether that
// record is ever whole or not.
func TestLookAtAnIDThatAKilledADDHas(t *testing.T) {
	e, w, a, id := releasedUnseen(t)
	if again := allocate(t, e, a, "policy_"); again != id {
		t.Fatalf("ADD again: got the ID %d, want %d", again, id)
	}
	w.news = nil
	testns.Must(t, w.read(e, formatID(id)))
	if len(w.news) != 1 || w.news[0].Kind != Removed || w.news[0].Endpoint.ID != id {
		t.Errorf("told: got %v, want that %d was removed", w.news, id)
	}
}

// TestLookWhileAnADDEnds: a record that becomes whole while it is looked at is told, at
// once or after the notice.
func TestLookWhileAnADDEnds(t *testing.T) {
	e := newEndpoints(t)
	allocate(t, e, attachmentOf("first"))
	w := looking(t, e.Root())
	lookOnce(t, w)
	for i := range 1000 {
		a := attachmentOf(strconv.Itoa(i))
		id := allocate(t, e, a)
		testns.Must(t, w.wait(t.Context())) // the notices so far, which would lead to another look
		ended := make(chan error)
		begin := make(chan bool)
		go func() {
			close(begin)
			for start := time.Now(); time.Since(start) < time.Duration(i%500)*time.Microsecond; {
				continue // at another moment each time
			}
			ended <- e.record(id).setDetails(Details{NetNS: "/run/netns/a"})
		}()
		<-begin
		w.news = nil
		testns.Must(t, w.read(e, formatID(id)))
		testns.Must(t, <-ended)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		for len(w.news) == 0 {
			if err := w.wait(ctx); err != nil {
				t.Fatalf("the endpoint %d was told neither at once nor later: %v", id, err)
			}
			testns.Must(t, w.look())
		}
		cancel()
		testns.Must(t, e.Release(a))
	}
}
