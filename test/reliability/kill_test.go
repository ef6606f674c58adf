package reliability

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/test/internal/node"
	"github.com/cni-bpffs/cni-bpffs/test/internal/trace"
)

// What the attachments of these tests declare.
const (
	created   = `[{"name": "calls_", "type": "array", "keySize": 4, "valueSize": 8, "maxEntries": 1}, {"name": "policy_", "type": "hash", "keySize": 4, "valueSize": 4, "maxEntries": 2}]`
	namesOnly = `[{"name": "calls_"}, {"name": "policy_"}]`
	oneMore   = `[{"name": "calls_", "type": "array", "keySize": 4, "valueSize": 8, "maxEntries": 1}, {"name": "policy_"}, {"name": "stats_", "type": "array", "keySize": 4, "valueSize": 4, "maxEntries": 1}]`
)

// A scenario is a state of a node and a call that is killed there.
type scenario struct {
	name    string
	verb    string
	who     []attachment // that the call changes; ADD and DEL change the first
	maps    string
	prepare func(*stage)
	signal  unix.Signal
	slow    bool // each endpoint takes so long that a GC gives the records back after it
}

// A stage is a node on which a scenario is played, once.
type stage struct {
	*testing.T
	scenario
	root       string
	start      image
	bystanders []attachment
	foreign    []string // paths below the root, of somebody else
	downstream []string // paths below the root, in a record, but pinned by others
}

// scenarios returns what is killed. All but the first have bystanders, and a
// foreign pin at the first path that the attachment would get.
func scenarios() []scenario {
	one, many := numbered("net", "victim", 1), numbered("net", "victim", 3)
	alone := numbered("net", "alone", 1)
	return []scenario{
		{"first ADD", "ADD", one, created, func(*stage) {}, unix.SIGKILL, false},
		{"ADD that creates", "ADD", one, created, used, unix.SIGKILL, false},
		{"ADD of a new container", "ADD", alone, created, used, unix.SIGKILL, false},
		{"ADD of names", "ADD", one, namesOnly, used, unix.SIGKILL, false},
		{"ADD again", "ADD", one, oneMore, func(s *stage) { used(s); s.addAll(created); s.readdable() }, unix.SIGKILL, false},
		{"DEL", "DEL", one, created, func(s *stage) { used(s); s.addAll(created) }, unix.SIGKILL, false},
		{"DEL of others' pins", "DEL", one, namesOnly, func(s *stage) { used(s); s.addAll(namesOnly); s.pinDownstream() }, unix.SIGKILL, false},
		{"DEL of nothing", "DEL", one, namesOnly, used, unix.SIGKILL, false},
		{"ADD, politely", "ADD", one, created, used, unix.SIGTERM, false},
		{"DEL, politely", "DEL", one, created, func(s *stage) { used(s); s.addAll(created) }, unix.SIGTERM, false},
		{"GC of several", "GC", many, created, func(s *stage) { used(s); s.addAll(created) }, unix.SIGKILL, false},
		{"GC in portions", "GC", many, created, func(s *stage) { used(s); s.addAll(created) }, unix.SIGKILL, true},
	}
}

// call returns a call about the attachment. GC spares the bystanders only.
func (s *stage) call(verb string, who attachment) call {
	return call{verb: verb, who: who, root: s.root, maps: s.maps, valid: s.bystanders}
}

func (s *stage) addAll(maps string) {
	for _, a := range s.who {
		c := s.call("ADD", a)
		c.maps = maps
		c.succeed(s.T)
	}
}

// used makes a node that has been in use: others have endpoints, and somebody
// has pinned something where the attachment's first choice would be.
func used(s *stage) {
	c := s.call("ADD", s.who[0])
	c.maps = namesOnly
	id, err := c.succeed(s.T).ID()
	testns.Must(s.T, err)
	s.call("DEL", s.who[0]).succeed(s.T)
	s.foreign = []string{node.Globals + "/policy_" + id, node.Globals + "/theirs", "elsewhere"}
	for _, path := range s.foreign[:2] {
		testns.Must(s.T, node.Pin(filepath.Join(s.root, path)))
	}
	testns.Must(s.T, os.MkdirAll(filepath.Join(s.root, "elsewhere/deep"), 0o700))
	s.bystanders = []attachment{{"net", "bystander", "eth0"}, {"net", "victim0", "eth1"}}
	for _, a := range append(s.bystanders, attachment{"other", "victim0", "eth0"}) {
		c := s.call("ADD", a)
		c.maps = created
		c.succeed(s.T)
	}
}

// readdable makes the maps of an ADD that is repeated fit the first one.
func (s *stage) readdable() {
	id := s.idOf(s.who[0])
	for _, path := range []string{node.Globals + "/policy_" + id} {
		testns.Must(s.T, os.Remove(filepath.Join(s.root, path)))
	}
}

// pinDownstream pins what a plugin after this one would: a map, and a directory.
func (s *stage) pinDownstream() {
	id := s.idOf(s.who[0])
	testns.Must(s.T, node.Pin(filepath.Join(s.root, node.Globals, "calls_"+id)))
	testns.Must(s.T, node.Pin(filepath.Join(s.root, node.Globals, "policy_"+id, "1")))
	testns.Must(s.T, node.Pin(filepath.Join(s.root, node.Globals, "policy_"+id, "2/deeper")))
	s.downstream = []string{node.Globals + "/calls_" + id, node.Globals + "/policy_" + id}
}

func (s *stage) idOf(a attachment) string {
	owner, _ := s.tree().owners()
	return owner[a.path()]
}

func (s *stage) tree() tree {
	s.Helper()
	return readTree(s.T, s.root)
}

// newStage prepares a node for the scenario.
func newStage(t *testing.T, sc scenario) *stage {
	t.Helper()
	s := &stage{T: t, scenario: sc, root: newRoot(t)}
	sc.prepare(s)
	s.start = save(t, s.root)
	return s
}

// reset brings the node back to its beginning, on a new bpffs.
func (s *stage) reset() {
	node.Unmount(s.root)
	testns.Must(s.T, os.RemoveAll(s.root))
	s.start.restore(s.T, s.root)
}

// A recovery is what comes after a kill, from the scenario's attachments.
type recovery struct {
	name  string
	calls func(*stage) []call
}

func each(verb string) recovery {
	return recovery{verb, func(s *stage) []call {
		var calls []call
		for _, a := range s.who {
			calls = append(calls, s.call(verb, a))
		}
		return calls
	}}
}

// recoveries returns one ADD, one DEL (of each attachment) and one GC.
func recoveries() []recovery {
	return []recovery{each("ADD"), each("DEL"), {"GC", func(s *stage) []call {
		return []call{s.call("GC", s.who[0])}
	}}}
}

// recover makes the calls and returns the tree after them. What others pinned
// for the attachment may be gone or not after an ADD, if a DEL was killed.
func (s *stage) recover(r recovery) tree {
	s.Helper()
	for _, c := range r.calls(s) {
		c.succeed(s.T)
	}
	after := s.tree()
	if r.name == "ADD" {
		return after.without(s.downstream)
	}
	return after.left()
}

// TestKillAnywhere kills every verb at every system call in turn. After each
// kill the invariants hold, and one more verb leaves what it would have left
// without the kill.
func TestKillAnywhere(t *testing.T) {
	var mu sync.Mutex
	stops, kills, start := 0, 0, time.Now()
	t.Run("scenario", func(t *testing.T) {
		for _, sc := range scenarios() {
			t.Run(sc.name, func(t *testing.T) {
				t.Parallel()
				n, killed := killEverywhere(t, sc)
				mu.Lock()
				defer mu.Unlock()
				stops, kills = stops+n, kills+killed
				t.Logf("%d stops, %d processes killed", n, killed)
			})
		}
	})
	t.Logf("in all: %d stops, %d processes killed, %.1f s", stops, kills, time.Since(start).Seconds())
}

// killEverywhere plays the scenario once for each stop and recovery. It returns
// how many stops there were, and how many processes it killed.
func killEverywhere(t *testing.T, sc scenario) (stops, kills int) {
	t.Helper()
	s := newStage(t, sc)
	want := make(map[string]tree)
	for _, r := range recoveries() {
		want[r.name] = s.undisturbed(r)
	}
	counts := trace.Changing
	if option[bool](flagAll) {
		counts = trace.Any
	}
	if sc.slow {
		counts = slowed(counts)
	}
	for n := 1; ; n++ {
		for _, r := range recoveries() {
			s.reset()
			at, killed := s.kill(n, counts)
			if !killed {
				return n - 1, kills
			}
			kills++
			if got := s.recover(r); !cmp.Equal(want[r.name], got) {
				t.Fatalf("killed at %v, then %s: the node differs from one where nothing happened (-want +got):\n%s",
					at, r.name, cmp.Diff(want[r.name], got))
			}
			s.settled(at, r)
		}
	}
}

// slowed makes the move of each record take longer than a portion of a GC.
func slowed(counts func(uint64) bool) func(uint64) bool {
	return func(nr uint64) bool {
		if nr == unix.SYS_RENAMEAT {
			time.Sleep(12 * time.Millisecond)
		}
		return counts(nr)
	}
}

// undisturbed returns what the recovery leaves if nothing was killed.
func (s *stage) undisturbed(r recovery) tree {
	s.Helper()
	s.reset()
	return s.recover(r)
}

// kill plays the call and kills it at the nth stop, then looks at the node.
func (s *stage) kill(n int, counts func(uint64) bool) (at trace.Stop, killed bool) {
	s.Helper()
	c := s.call(s.verb, s.who[0])
	theirs := inodes(s.T, s.root, s.foreign)
	others := s.untouched()
	at, killed, a, err := trace.Run(c.command(), n, counts, trace.Kill(s.signal))
	testns.Must(s.T, err)
	if !killed && at.Nth == 0 {
		if a.Status != 0 {
			s.Fatalf("%v without a kill: got %+v, want success", c, a)
		}
		return at, false
	}
	s.holds(at, c, a)
	if diff := cmp.Diff(theirs, inodes(s.T, s.root, s.foreign)); diff != "" {
		s.Fatalf("%v killed at %v: foreign pins changed (-before +after):\n%s", c, at, diff)
	}
	if diff := cmp.Diff(others, s.untouched()); diff != "" {
		s.Fatalf("%v killed at %v: what belongs to others changed (-before +after):\n%s", c, at, diff)
	}
	return at, true // even if it had a signal that it did not die of before it was ready
}

// untouched returns the part of the tree that the call must not change: all that
// does not belong to its attachments.
func (s *stage) untouched() tree {
	s.Helper()
	all := s.tree()
	owner, _ := all.owners()
	ours := []string{"cni/scratch"}
	for _, a := range s.who {
		ours = append(ours, "cni/attachments/"+a.path(), "cni/attachments/net/"+a.container)
		if id, ok := owner[a.path()]; ok {
			ours = append(ours, "cni/endpoints/"+id)
			ours = append(ours, s.pinsOf(id)...)
		}
	}
	rest := all.without(ours).left()
	maps.DeleteFunc(rest, func(name, _ string) bool { return name == "cni/attachments/net" })
	return rest
}

func (s *stage) pinsOf(id string) []string {
	return []string{node.Globals + "/calls_" + id, node.Globals + "/policy_" + id, node.Globals + "/stats_" + id}
}

// holds wants the invariants to hold after a kill, and a result that was printed
// to be true.
func (s *stage) holds(at trace.Stop, c call, a answer) {
	s.Helper()
	all := s.tree()
	wrong := all.wrong(s.foreign)
	layers, err := node.Layers(s.root)
	testns.Must(s.T, err)
	if len(layers) > 1 || len(layers) == 0 && len(all) > 0 {
		wrong = append(wrong, fmt.Sprintf("mounted are %q", layers))
	}
	if strings.Contains(a.Stdout, "interfaces") {
		if id, err := a.ID(); err != nil || s.idOf(c.who) != id {
			wrong = append(wrong, fmt.Sprintf("printed %q (%v), but recorded is %q", a.Stdout, err, s.idOf(c.who)))
		}
	}
	if wrong != nil {
		slices.Sort(wrong)
		s.Fatalf("wrong with %v killed at %v: got\n%s\nwant nothing", c, at, strings.Join(wrong, "\n"))
	}
}

// settled wants one bpffs after an ADD, and no call to have mounted more.
func (s *stage) settled(at trace.Stop, r recovery) {
	s.Helper()
	layers, err := node.Layers(s.root)
	testns.Must(s.T, err)
	if len(layers) > 1 || r.name == "ADD" && len(layers) == 0 {
		s.Fatalf("mounted after a kill at %v, then %s: got %q, want one bpf", at, r.name, layers)
	}
	if wrong := s.tree().wrong(s.foreign); wrong != nil {
		s.Fatalf("wrong with a kill at %v, then %s: got\n%s\nwant nothing", at, r.name, strings.Join(wrong, "\n"))
	}
}
