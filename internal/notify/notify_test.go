package notify

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

func TestMain(m *testing.M) {
	os.Exit(testns.Main(m))
}

func newNotifier(t *testing.T) *Notifier {
	t.Helper()
	n, err := New()
	testns.Must(t, err)
	t.Cleanup(func() { testns.Must(t, n.Close()) })
	return n
}

func add(t *testing.T, n *Notifier, path string) Dir {
	t.Helper()
	f, err := os.Open(path)
	testns.Must(t, err)
	defer f.Close()
	d, err := n.Add(f)
	testns.Must(t, err)
	return d
}

func expect(t *testing.T, n *Notifier, want ...Event) {
	t.Helper()
	for len(want) > 0 {
		got, err := n.Wait(t.Context())
		testns.Must(t, err)
		if len(got) > len(want) || !cmp.Equal(want[:len(got)], got) {
			t.Fatalf("Wait: got %+v, want %+v", got, want)
		}
		want = want[len(got):]
	}
}

func TestDirectories(t *testing.T) {
	n := newNotifier(t)
	one, two := t.TempDir(), t.TempDir()
	d, other := add(t, n, one), add(t, n, two)
	if again := add(t, n, two+"/../"+filepath.Base(two)); again != other || d == other {
		t.Fatalf("Add of two directories and the second again: got %d, %d and %d", d, other, again)
	}
	testns.Must(t, os.Mkdir(one+"/a", 0o700))
	testns.Must(t, os.Rename(one+"/a", two+"/b"))
	testns.Must(t, os.Symlink("anything", two+"/c"))
	expect(t, n, Event{Dir: d, Name: "a"}, Event{Dir: d, Name: "a"}, Event{Dir: other, Name: "b"}, Event{Dir: other, Name: "c"})
	n.Drop(d)
	testns.Must(t, os.Mkdir(one+"/a", 0o700)) // which nobody hears of
	testns.Must(t, os.Remove(two+"/c"))
	expect(t, n, Event{Dir: other, Name: "c"})
	n.Drop(d) // again
	testns.Must(t, os.RemoveAll(two))
	expect(t, n, Event{Dir: other, Name: "b"}, Event{Dir: other})
}

func TestMounts(t *testing.T) {
	testns.Need(t)
	n := newNotifier(t)
	dir := t.TempDir()
	testns.Mount(t, "tmpfs", dir, "")
	expect(t, n, Event{})
	d := add(t, n, dir)
	testns.UnmountAll(t, dir) // it is not busy
	got, err := n.Wait(t.Context())
	testns.Must(t, err)
	for _, event := range got {
		if event.Dir != d && event.Dir != 0 {
			t.Errorf("after unmounting %d: got %+v, want that it and the mount table changed", d, event)
		}
	}
}

func TestContext(t *testing.T) {
	n := newNotifier(t)
	ctx, cancel := context.WithCancel(t.Context())
	context.AfterFunc(t.Context(), cancel)
	done := make(chan error)
	go func() {
		_, err := n.Wait(ctx)
		done <- err
	}()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("Wait when the context is done: %v, want %v", err, context.Canceled)
	}
}

// FuzzDecode: whatever is read, there is an error or as many events as headers fit.
func FuzzDecode(f *testing.F) {
	var event bytes.Buffer
	testns.Must(f, binary.Write(&event, binary.NativeEndian, header{Watch: 3, Mask: 0x100, Length: 16}))
	event.WriteString("00042\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00")
	f.Add(event.Bytes())
	f.Add(bytes.Repeat(event.Bytes(), 3))
	f.Add(event.Bytes()[:20])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, buf []byte) {
		events, err := decode(buf)
		if most := len(buf) / binary.Size(header{}); len(events) > most {
			t.Errorf("decode of %d bytes: got %d events, want at most %d", len(buf), len(events), most)
		}
		if err != nil && events != nil {
			t.Errorf("decode: got %+v together with %v", events, err)
		}
		for _, e := range events {
			if bytes.Contains([]byte(e.Name), []byte{0}) {
				t.Errorf("decode: got the name %q, want none with a zero byte", e.Name)
			}
		}
	})
}

func TestDecode(t *testing.T) {
	var buf bytes.Buffer
	for _, h := range []header{{Watch: -1, Mask: overflow}, {Watch: 5, Mask: ignored}, {Watch: 5, Mask: 0x400}} {
		testns.Must(t, binary.Write(&buf, binary.NativeEndian, h))
	}
	got, err := decode(buf.Bytes())
	if diff := cmp.Diff([]Event{{Lost: true}, {Dir: 5}}, got); diff != "" || err != nil {
		t.Errorf("decode: %v (-want +got):\n%s", err, diff)
	}
}
