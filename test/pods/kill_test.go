package pods

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/test/internal/node"
	"github.com/cni-bpffs/cni-bpffs/test/internal/trace"
)

// A scenario is a state of a node with volumes, and a call that is killed there.
type scenario struct {
	name    string
	prepare func(t *testing.T, s sandbox)
	verb    string
	victim  func(s sandbox) sandbox
	token   bool // the pod gets one
}

func same(s sandbox) sandbox { return s }

// next returns the pod's next sandbox.
func next(s sandbox) sandbox {
	s.container = "c2"
	return s
}

// neighbour returns the sandbox of another pod.
func neighbour(s sandbox) sandbox {
	s.container, s.uid = "c3", "neighbour"
	return s
}

func scenarios() []scenario {
	nothing := func(*testing.T, sandbox) {}
	added := func(t *testing.T, s sandbox) { t.Helper(); s.add(t) }
	return []scenario{
		{"ADD", nothing, "ADD", same, false},
		{"ADD that makes it anew", func(t *testing.T, s sandbox) {
			t.Helper()
			s.add(t)
			writable(t, s.at("maps"))
			testns.Must(t, unix.Unmount(s.at("maps-rw"), 0))
		}, "ADD", same, false},
		{"ADD of the next sandbox", added, "ADD", next, false},
		{"DEL", added, "DEL", same, false},
		{"DEL of the sandbox before", func(t *testing.T, s sandbox) { t.Helper(); s.add(t); next(s).add(t) }, "DEL", same, false},
		{"GC of two pods", func(t *testing.T, s sandbox) { t.Helper(); s.add(t); neighbour(s).add(t) }, "GC", same, false},
		{"ADD with a token", nothing, "ADD", same, true},
		{"ADD of the next sandbox with a token", added, "ADD", next, true},
		{"DEL of a token", func(t *testing.T, s sandbox) {
			t.Helper()
			s.add(t)
			s.asPod(t, func(dir string) error { return fill(dir, 3, 3) })
		}, "DEL", same, true},
	}
}

// reset brings the node back to its beginning.
func (s sandbox) reset(t *testing.T) {
	t.Helper()
	unmountBelow(t, kubeletDir)
	node.Unmount(root)
	testns.Must(t, os.RemoveAll(kubeletDir))
	s.makeVolume(t)
	neighbour(s).makeVolume(t)
}

// wantRecorded wants each mount in a volume to be in a record.
func wantRecorded(t *testing.T) {
	t.Helper()
	recorded := make(map[string]bool) // by ID: the pod may have moved the directory
	links, err := filepath.Glob(root + "/cni/endpoints/*/pod-mounts/*")
	testns.Must(t, err)
	for _, link := range links {
		target, err := os.Readlink(link)
		testns.Must(t, err)
		id, _, _ := strings.Cut(target, ":") // before the mount namespace
		recorded[id] = true
	}
	all, err := mountinfo.GetMounts(func(m *mountinfo.Info) (skip, stop bool) {
		return !strings.HasPrefix(m.Mountpoint, kubeletDir+"/"), false
	})
	testns.Must(t, err)
	for _, m := range all {
		var st unix.Statx_t
		testns.Must(t, unix.Statx(unix.AT_FDCWD, m.Mountpoint, 0, unix.STATX_MNT_ID_UNIQUE, &st))
		if !recorded[fmt.Sprintf("mount-%d", st.Mnt_id)] && !recorded["source-"+m.Source] {
			t.Errorf("the mount %d at %s is in no record; recorded are %v", st.Mnt_id, m.Mountpoint, recorded)
		}
	}
}

// A recovery is what may come next after a kill.
type recovery struct {
	name string
	do   func(t *testing.T, s, victim sandbox)
}

func recoveries() []recovery {
	return []recovery{
		{"ADD", func(t *testing.T, _, victim sandbox) { t.Helper(); victim.add(t) }},
		{"DEL", func(t *testing.T, _, victim sandbox) { t.Helper(); victim.del(t) }},
		{"ADD of a third sandbox", func(t *testing.T, s, _ sandbox) {
			t.Helper()
			s.container = "c4"
			s.add(t)
			s.del(t)
		}},
		{"GC", func(t *testing.T, s, _ sandbox) { t.Helper(); s.gc(t); s.wantNothing(t) }},
	}
}

// TestKill kills each verb at the system calls that change something: with the flag
// -all at every one, else at every fifth, another one in each scenario. No mount is in
// no record after that, and whatever comes next is as if nothing had happened.
func TestKill(t *testing.T) {
	all, _ := flag.Lookup(flagAll).Value.(flag.Getter).Get().(bool)
	for i, sc := range scenarios() {
		t.Run(sc.name, func(t *testing.T) {
			start, kills := time.Now(), 0
			play := func(t *testing.T, s sandbox) {
				t.Helper()
				first, step := 1+i%someStops, someStops
				if testing.Short() {
					step *= 4 // each takes seconds on an emulated machine
				}
				if all {
					first, step = 1, 1
				}
				for n := first; s.killAt(t, sc, n, kills, all); n += step {
					kills++
				}
			}
			if sc.token { // no older kernel has one
				play(t, newSandbox(t).withToken(t))
			} else {
				eachKernel(t, play)
			}
			t.Logf("%d calls killed in %v", kills, time.Since(start))
		})
	}
}

// someStops is how many stops are passed by, with the one that is tried, by default.
const someStops = 5

// killAt plays the scenario and kills the call at its nth stop, once or for each
// recovery. It reports whether there is such a stop.
func (s sandbox) killAt(t *testing.T, sc scenario, n, turn int, all bool) bool {
	t.Helper()
	try := recoveries()
	if !all {
		turn %= len(try)
		try = try[turn : turn+1]
	}
	for _, r := range try {
		s.reset(t)
		sc.prepare(t, s)
		victim := sc.victim(s)
		conf := victim.conf(keys{"cni.dev/valid-attachments": []keys{}})
		at, killed, a, err := trace.Run(s.plugin.Command(sc.verb, conf, victim.env()...), n, trace.Changing, trace.Kill(unix.SIGKILL))
		testns.Must(t, err)
		if at.Nth == 0 && a.Status == 0 {
			return false
		}
		if !killed {
			t.Fatalf("%s was not killed at %v: %+v", sc.verb, at, a)
		}
		wantRecorded(t)
		r.do(t, s, victim)
		wantRecorded(t)
		for _, one := range []sandbox{s, next(s), neighbour(s), s} {
			one.del(t)
		}
		s.wantNothing(t)
		if t.Failed() {
			t.Fatalf("%s killed at %v, then %s", sc.verb, at, r.name)
		}
	}
	return true
}
