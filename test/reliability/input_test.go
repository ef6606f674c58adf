package reliability

import (
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/test/internal/node"
	"github.com/cni-bpffs/cni-bpffs/test/internal/plugintest"
	"github.com/cni-bpffs/cni-bpffs/test/internal/trace"
)

// TestStandardInput: a configuration that does not come, has no end, or is huge
// is an error in time, and nothing was touched.
func TestStandardInput(t *testing.T) {
	add := call{verb: "ADD", who: attachment{"net", "c", "eth0"}, maps: created}
	for _, tt := range []struct {
		name   string
		stdin  func(c call, w *os.File) // writes to standard input, and closes it or not
		within [2]time.Duration
		code   uint
		says   string
	}{
		{"never comes", func(call, *os.File) {}, [2]time.Duration{9 * time.Second, 15 * time.Second}, 5, "did not end within 10s"},
		{"never ends", func(c call, w *os.File) { w.WriteString(c.conf()) }, [2]time.Duration{9 * time.Second, 15 * time.Second}, 5, "did not end within 10s"},
		{"drips", func(_ call, w *os.File) {
			for range 150 {
				w.WriteString(" ")
				time.Sleep(100 * time.Millisecond)
			}
		}, [2]time.Duration{9 * time.Second, 16 * time.Second}, 5, "did not end within 10s"},
		{"is 100 MB", func(_ call, w *os.File) {
			w.WriteString(strings.Repeat(" ", 100<<20)) // ends early, with the reader
			w.Close()
		}, [2]time.Duration{0, 8 * time.Second}, 5, "longer than 32 MiB"},
		{"ends in the middle", func(c call, w *os.File) {
			w.WriteString(c.conf()[:50])
			w.Close()
		}, [2]time.Duration{0, 5 * time.Second}, 6, "unexpected end of JSON input"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := add
			c.root = newRoot(t)
			r, w, err := os.Pipe()
			testns.Must(t, err)
			t.Cleanup(func() { w.Close() })
			cmd := c.command()
			cmd.Stdin = r
			go tt.stdin(c, w)
			start := time.Now()
			a, err := plugintest.Run(cmd)
			r.Close()
			testns.Must(t, err)
			a.WantError(t, c.String(), tt.code, tt.says)
			if took := time.Since(start); took < tt.within[0] || took > tt.within[1] {
				t.Errorf("time: got %v, want between %v", took, tt.within)
			}
			if _, err := os.Stat(c.root); !os.IsNotExist(err) {
				t.Errorf("the root: got %v, want it to be missing", err)
			}
		})
	}
}

// TestStandardOutput: an ADD whose result nobody can get takes the ID back.
func TestStandardOutput(t *testing.T) {
	for name, open := range map[string]func(t *testing.T) *os.File{
		"closed by the reader": func(t *testing.T) *os.File {
			t.Helper()
			r, w, err := os.Pipe()
			testns.Must(t, err)
			r.Close()
			return w
		},
		"full": func(t *testing.T) *os.File {
			t.Helper()
			f, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
			testns.Must(t, err)
			return f
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := call{verb: "ADD", who: attachment{"net", "c", "eth0"}, root: newRoot(t), maps: created}
			cmd := c.command()
			cmd.Stdout = open(t)
			err := cmd.Run()
			cmd.Stdout.(*os.File).Close()
			if status := cmd.ProcessState.ExitCode(); status != 1 {
				t.Errorf("got the exit status %d (%v), want 1", status, err)
			}
			node.NothingLeft(t, c.root)
		})
	}
}

// TestVanishedNetNS: what is left of the pod's network does not matter.
func TestVanishedNetNS(t *testing.T) {
	c := call{verb: "ADD", who: attachment{"net", "c", "eth0"}, root: newRoot(t), maps: created}
	c.succeed(t) // /run/netns/none never was there
	plugin().Succeed(t, "DEL", c.conf(), append(c.env(), "CNI_NETNS=")...)
	empty(t, c.root, nil, nil)
}

// TestStoppedHolder: a process that was stopped while it had the lock keeps
// others out for their ten seconds; its end lets them in.
func TestStoppedHolder(t *testing.T) {
	t.Parallel()
	root := newRoot(t)
	old := call{verb: "ADD", who: attachment{"net", "old", "eth0"}, root: root, maps: created}
	old.succeed(t)
	c := call{verb: "ADD", who: attachment{"net", "c", "eth0"}, root: root, maps: created}
	locked := false
	afterLock := func(nr uint64) bool { // the calls after the lock was had
		name := trace.Name(nr)
		locked = locked || name == "flock"
		return locked && name == "mkdirat"
	}
	_, killed, _, err := trace.Run(c.command(), 3, afterLock, func(pid int) error {
		wantLocked(t, old)
		return trace.Kill(syscall.SIGKILL)(pid)
	})
	if err != nil || !killed {
		t.Fatalf("killing an ADD in the middle: got %v (%v), want true", killed, err)
	}
	c.succeed(t)
	old.as("DEL").succeed(t)
	sound(t, root, nil)
	empty(t, root, nil, nil)
}

// wantLocked wants all verbs to give up after ten seconds, at the same time.
func wantLocked(t *testing.T, old call) {
	t.Helper()
	start := time.Now()
	var calls sync.WaitGroup
	for verb, code := range map[string]uint{"ADD": 11, "DEL": 11, "GC": 11, "CHECK": 11, "STATUS": 50} {
		calls.Go(func() { old.as(verb).fail(t, code, "waiting for the lock", old.root+"/cni", "/proc/locks") })
	}
	calls.Wait()
	if took := time.Since(start); took < 9*time.Second || took > 20*time.Second {
		t.Errorf("time: got %v, want about 10 s", took)
	}
}
