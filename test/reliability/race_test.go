package reliability

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/test/internal/node"
)

// A race is a node on which many processes work at once.
type race struct {
	*testing.T
	root   string
	maps   string // that attachments declare
	spare  bool   // few IDs are free
	stop   time.Time
	racers int

	mu    sync.Mutex
	owner map[string]attachment // who may believe to have an ID now
	calls *atomic.Int64
}

// rare is what attachments declare where IDs are rare: also a name whose paths are
// occupied for most of them.
const rare = `[{"name": "calls_", "type": "array", "keySize": 4, "valueSize": 8, "maxEntries": 1}, {"name": "full_"}]`

func (r *race) call(verb string, who attachment) call {
	return call{verb: verb, who: who, root: r.root, maps: r.maps, valid: r.exclusive()}
}

// do makes the call; any error but the one with the code, if not 0, is a fault.
func (r *race) do(c call, may uint) answer {
	r.calls.Add(1)
	a, err := c.try()
	if err != nil {
		r.Error(err)
		return a
	}
	if e, err := a.Error(); a.Status != 0 && (err != nil || e.Code != may) {
		r.Errorf("%v: got %+v, want success or the code %d", c, a, may)
	}
	return a
}

// exclusive returns all attachments that one racer alone calls about: the same
// container in two networks for each.
func (r *race) exclusive() []attachment {
	return append(numbered("net", "racer", r.racers), numbered("other", "racer", r.racers)...)
}

// A racer makes calls about attachments of its own and about common ones.
type racer struct {
	*race
	own []attachment
	ids map[attachment]string
}

// claim wants nobody else to have the ID, and the attachment no other.
func (r *racer) claim(a attachment, id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if other, taken := r.owner[id]; taken && other != a {
		r.Errorf("endpoint ID of %v: got %s, want another, for %v has it", a, id, other)
	}
	if had, ok := r.ids[a]; ok && had != id {
		r.Errorf("endpoint ID of %v: got %s, want the same as before: %s", a, id, had)
	}
	r.owner[id], r.ids[a] = a, id
}

func (r *racer) yield(a attachment) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.owner, r.ids[a])
	delete(r.ids, a)
}

// add wants an ID for an attachment of its own.
func (r *racer) add(a attachment) {
	id, err := r.do(r.call("ADD", a), 0).ID()
	if err != nil {
		r.Error(err)
		return
	}
	r.claim(a, id)
}

// step makes one call. Whoever has an attachment alone knows what comes out.
func (r *racer) step() {
	own := r.own[rand.IntN(len(r.own))]
	common := attachment{r.own[rand.IntN(2)].network, fmt.Sprint("common", rand.IntN(6)), "eth0"}
	switch n := rand.IntN(20); {
	case n < 6:
		r.add(own)
	case n < 9:
		r.yield(own)
		r.do(r.call("DEL", own), 0)
	case n < 10:
		_, has := r.ids[own]
		if a := r.do(r.call("CHECK", own), 105); !has && !strings.Contains(a.Stdout, "no endpoint") ||
			has && !strings.Contains(a.Stdout, "prevResult lacks") { // that is how far it gets
			r.Errorf("CHECK of %v, which has %q: got %+v, want an error that says so", own, r.ids[own], a)
		}
	case n < 14:
		r.do(r.call("ADD", common), 0)
	case n < 17:
		r.do(r.call("DEL", common), 0)
	case n < 18:
		r.do(r.call("CHECK", common), 105)
	case n < 19:
		r.do(r.call("GC", common), 0)
	default:
		r.do(r.call("STATUS", common), 0)
	}
}

// run works in a mount namespace of its own, which gets the mounts of the others
// and gives them its own.
func (r *racer) run(ownNamespace bool) {
	runtime.LockOSThread() // until the goroutine ends, and the thread with it
	if ownNamespace {
		if err := syscall.Unshare(syscall.CLONE_NEWNS); err != nil {
			r.Error(os.NewSyscallError("unshare", err))
			return
		}
	}
	for _, a := range r.own {
		r.add(a)
	}
	for time.Now().Before(r.stop) && !r.Failed() {
		r.step()
	}
	layers, err := node.Layers(r.root)
	if err != nil || len(layers) != 1 {
		r.Errorf("mounted in the mount namespace of a racer: got %q (%v), want one bpf", layers, err)
	}
}

// TestRaces: hundreds of attachments, from first mounts on, in several mount
// namespaces that share their mounts, two networks, IDs in plenty and rare.
func TestRaces(t *testing.T) {
	var calls atomic.Int64
	start, rounds := time.Now(), 0
	for end := start.Add(option[time.Duration](flagDuration)); time.Now().Before(end) && !t.Failed(); rounds++ {
		t.Run(fmt.Sprint(rounds), func(t *testing.T) {
			const round = 4 * time.Second
			r := &race{
				T: t, root: sharedRoot(t), maps: created, spare: rounds%2 == 1, racers: 24,
				owner: make(map[string]attachment), calls: &calls,
			}
			if r.spare {
				r.maps = rare
				r.fill(r.free())
			}
			r.stop = time.Now().Add(min(round, time.Until(end)))
			r.play()
			r.finish()
		})
	}
	t.Logf("%d rounds, %d processes, %.1f s", rounds, calls.Load(), time.Since(start).Seconds())
}

// play lets all racers run, and looks at the records now and then.
func (r *race) play() {
	var group sync.WaitGroup
	all := r.exclusive()
	for i := range r.racers {
		me := &racer{race: r, own: []attachment{all[i], all[i+r.racers]}, ids: make(map[attachment]string)}
		group.Go(func() { me.run(i%2 == 0) })
	}
	for time.Now().Before(r.stop) && !r.Failed() {
		time.Sleep(300 * time.Millisecond)
		r.look()
	}
	group.Wait()
}

// look wants the invariants to hold whenever nobody has the lock.
func (r *race) look() {
	f, err := os.Open(filepath.Join(r.root, "cni"))
	if os.IsNotExist(err) {
		return
	}
	testns.Must(r.T, err)
	defer f.Close()
	testns.Must(r.T, syscall.Flock(int(f.Fd()), syscall.LOCK_EX))
	r.sound()
}

func (r *race) sound() tree {
	r.Helper()
	all := readTree(r.T, r.root)
	all = all.withoutFull()
	if wrong := all.wrong(nil); wrong != nil {
		r.Errorf("wrong: got\n%s\nwant nothing", strings.Join(wrong, "\n"))
	}
	return all
}

// withoutFull returns the tree without what fill made.
func (t tree) withoutFull() tree {
	less := make(tree, len(t))
	for name, kind := range t {
		if !strings.HasPrefix(name, node.Globals+"/full_") {
			less[name] = kind
		}
	}
	return less
}

// finish wants nothing to be left after all are gone.
func (r *race) finish() {
	r.settle()
	if left := r.sound().left(); len(left) > 0 {
		r.Errorf("left: got %q, want nothing", left)
	}
	if full, err := filepath.Glob(filepath.Join(r.root, node.Globals, "full_*")); err != nil || len(full) != r.filled() {
		r.Errorf("paths of somebody else: got %d (%v), want all %d", len(full), err, r.filled())
	}
}

// settle wants everybody who believes to have an ID to be recorded with it, then
// sends them away.
func (r *race) settle() {
	owner, _ := r.sound().owners()
	for id, a := range r.owner {
		if owner[a.path()] != id {
			r.Errorf("recorded endpoint ID of %v: got %q, want %s", a, owner[a.path()], id)
		}
	}
	for _, network := range []string{"net", "other"} {
		call{verb: "GC", who: attachment{network: network}, root: r.root}.succeed(r.T)
	}
	clear(r.owner)
}

func (r *race) filled() int {
	if r.spare {
		return 65535 - r.free()
	}
	return 0
}

// free returns how many IDs can be had where they are rare.
func (r *race) free() int { return 6 * r.racers }

// fill occupies the paths of all IDs but some, evenly spread.
func (r *race) fill(free int) {
	mountBPF(r.T, r.root, "mode=0700")
	dir := filepath.Join(r.root, node.Globals)
	testns.Must(r.T, os.MkdirAll(dir, 0o700))
	for id := 1; id <= 65535; id++ {
		if id%(65535/free) == 1 && id/(65535/free) < free {
			continue
		}
		testns.Must(r.T, os.Mkdir(filepath.Join(dir, fmt.Sprintf("full_%05d", id)), 0o700))
	}
}

// sharedRoot is newRoot in a directory whose mounts appear in every mount
// namespace that is made from this one.
func sharedRoot(t *testing.T) string {
	t.Helper()
	root := newRoot(t)
	dir := filepath.Dir(root)
	testns.Must(t, syscall.Mount("tmpfs", dir, "tmpfs", 0, "mode=0755"))
	t.Cleanup(func() { node.Unmount(dir) })
	testns.Must(t, syscall.Mount("", dir, "", syscall.MS_SHARED, ""))
	return root
}
