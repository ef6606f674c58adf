package reliability

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/test/internal/node"
)

// fullPipe returns a pipe that takes nothing until it is read.
func fullPipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	testns.Must(t, err)
	t.Cleanup(func() { r.Close(); w.Close() })
	fd := int(w.Fd())
	testns.Must(t, unix.SetNonblock(fd, true))
	for err == nil {
		_, err = unix.Write(fd, make([]byte, os.Getpagesize()))
	}
	if !errors.Is(err, unix.EAGAIN) {
		t.Fatal(err)
	}
	testns.Must(t, unix.SetNonblock(fd, false))
	return r, w
}

// stalled starts the ADD, which has recorded its endpoint when stalled returns, and
// cannot print its result. The function that it returns takes the reader away and
// waits for the end of the ADD.
func (c call) stalled(t *testing.T, env ...string) (goes func()) {
	t.Helper()
	r, w := fullPipe(t)
	before := c.mark()
	cmd := c.command()
	cmd.Env = append(cmd.Env, env...)
	cmd.Stdout = w
	testns.Must(t, cmd.Start())
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		if c.mark() != before {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the record of an ADD that cannot print: got none after 10 s, want one")
		}
	}
	return func() {
		w.Close()
		r.Close()
		err := cmd.Wait()
		if _, ok := errors.AsType[*exec.ExitError](err); !ok {
			t.Errorf("an ADD whose reader went: got %v, want an exit status of its own", err)
		}
	}
}

// mark returns what changes with each ADD in a bpffs with one endpoint, 0 if there
// is none.
func (c call) mark() uint64 {
	found, _ := filepath.Glob(c.root + "/cni/endpoints/*/netns")
	if len(found) == 0 {
		return 0
	}
	ino, _ := inode(found[0])
	return ino
}

// give gives the ID that the record of the call has to another attachment.
func (c call) give(t *testing.T) {
	t.Helper()
	records := c.root + "/cni/"
	found, err := filepath.Glob(records + "endpoints/*")
	testns.Must(t, err)
	c.as("DEL").succeed(t)
	testns.Must(t, os.Mkdir(found[0], 0o700))
	testns.Must(t, os.Symlink("net/another/eth0", found[0]+"/owner"))
	testns.Must(t, os.MkdirAll(records+"attachments/net/another", 0o700))
	testns.Must(t, os.Symlink(filepath.Base(found[0]), records+"attachments/net/another/eth0"))
}

// TestUndoOnlyOwnRecord: an ADD that found a record takes back nothing.
func TestUndoOnlyOwnRecord(t *testing.T) {
	for kind, maps := range map[string]string{"without types": namesOnly, "with types": created, "none": ""} {
		t.Run("maps "+kind, func(t *testing.T) {
			c := call{verb: "ADD", who: attachment{"net", "c", "eth0"}, root: newRoot(t), maps: maps}
			c.succeed(t)
			goes := c.stalled(t)
			before := node.Identities(t, c.root)
			goes()
			if diff := cmp.Diff(before, node.Identities(t, c.root)); diff != "" {
				t.Errorf("after the reader of the second ADD went (-before +after):\n%s", diff)
			}
		})
	}
}

// TestUndoOnlyOwn: an ADD whose reader goes takes back what it made, unless somebody
// got an answer from it, or made it anew, in the meantime.
func TestUndoOnlyOwn(t *testing.T) {
	long := "CNI_NETNS=/" + strings.Repeat("n", 5000)
	for _, tt := range []struct {
		name      string
		env       []string
		meanwhile func(t *testing.T, c call)
		empty     bool // nothing is left in the end
	}{
		{"nothing", nil, func(*testing.T, call) {}, true},
		{"DEL", nil, func(t *testing.T, c call) { t.Helper(); c.as("DEL").succeed(t) }, true},
		{"GC", nil, func(t *testing.T, c call) { t.Helper(); c.as("GC").succeed(t) }, true},
		{"ADD", nil, func(t *testing.T, c call) { t.Helper(); c.succeed(t) }, false},
		{"ADD and ADD", nil, func(t *testing.T, c call) { t.Helper(); c.succeed(t); c.succeed(t) }, false},
		{"ADD with other maps", nil, func(t *testing.T, c call) { t.Helper(); c.maps = `[{"name":"other_"}]`; c.succeed(t) }, false},
		{"ADD with a name of a namespace that is too long", []string{long, "CNI_NETNS_OVERRIDE=1"}, func(t *testing.T, c call) {
			t.Helper()
			plugin().Succeed(t, "ADD", c.conf(), append(c.env(), long, "CNI_NETNS_OVERRIDE=1")...)
		}, false},
		{"DEL and ADD", nil, func(t *testing.T, c call) { t.Helper(); c.as("DEL").succeed(t); c.succeed(t) }, false},
		{"another attachment gets the ID", nil, func(t *testing.T, c call) { t.Helper(); c.give(t) }, false},
		{"another attachment gets the ID, then ADD", nil, func(t *testing.T, c call) { t.Helper(); c.give(t); c.succeed(t) }, false},
		{"the bpffs is unmounted", nil, func(t *testing.T, c call) {
			t.Helper()
			testns.Must(t, syscall.Unmount(c.root, syscall.MNT_DETACH))
		}, true},
		{"the bpffs is mounted anew, and ADD", nil, func(t *testing.T, c call) {
			t.Helper()
			testns.Must(t, syscall.Unmount(c.root, syscall.MNT_DETACH))
			c.succeed(t)
		}, false},
	} {
		for kind, maps := range map[string]string{"without types": namesOnly, "with types": created} {
			t.Run(tt.name+", maps "+kind, func(t *testing.T) {
				t.Parallel()
				c := call{verb: "ADD", who: attachment{"net", "c", "eth0"}, root: newRoot(t), maps: maps}
				goes := c.stalled(t, tt.env...)
				tt.meanwhile(t, c)
				before := node.Identities(t, c.root)
				goes()
				if mounted, err := node.Layers(c.root); err != nil || tt.empty && mounted != nil {
					node.NothingLeft(t, c.root)
				}
				if tt.empty {
					return
				}
				if diff := cmp.Diff(before, node.Identities(t, c.root)); diff != "" {
					t.Errorf("after the reader of the first ADD went (-before +after):\n%s", diff)
				}
			})
		}
	}
}

// TestUndoOnlyOwnPins: an ADD again that fails after it has pinned maps takes these
// back, and none that was there before.
func TestUndoOnlyOwnPins(t *testing.T) {
	const typedLater = `[{"name": "calls_", "type": "array", "keySize": 4, "valueSize": 8, "maxEntries": 1}, {"name": "policy_"}]`
	for _, tt := range []struct {
		name, before, again string
		remove              []string // of what was pinned
	}{
		{"a pin that was removed", created, created, []string{"calls_"}},
		{"two pins that were removed", created, created, []string{"calls_", "policy_"}},
		{"a map that is created now", namesOnly, typedLater, nil},
		{"one more map", created, oneMore, nil},
		{"nothing is missing", created, created, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := call{verb: "ADD", who: attachment{"net", "c", "eth0"}, root: newRoot(t), maps: tt.before}
			c.succeed(t)
			for _, name := range tt.remove {
				found, err := filepath.Glob(c.root + "/" + node.Globals + "/" + name + "*")
				testns.Must(t, err)
				testns.Must(t, os.Remove(found[0]))
			}
			netns, err := filepath.Glob(c.root + "/cni/endpoints/*/netns")
			testns.Must(t, err)
			testns.Must(t, os.Rename(netns[0], netns[0]+"-away"))
			testns.Must(t, os.MkdirAll(netns[0]+"/in/the/way", 0o700)) // of the details, which come last
			pins := func() node.Tree {
				all := node.Identities(t, c.root+"/"+node.Globals)
				delete(all, ".") // when something in it came and went
				return all
			}
			before := pins()
			c.maps = tt.again
			c.fail(t, 999, netns[0])
			if diff := cmp.Diff(before, pins()); diff != "" {
				t.Errorf("an ADD that failed changed pins (-before +after):\n%s", diff)
			}
			testns.Must(t, os.RemoveAll(netns[0]))
			c.succeed(t)
			c.as("DEL").succeed(t)
			node.NothingLeft(t, c.root)
		})
	}
}
