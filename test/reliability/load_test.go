package reliability

import (
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/test/internal/node"
)

// tryFor runs the plugin and kills it after a while, unless it ended before.
func (c call) tryFor(d time.Duration) (answer, error) {
	cmd := c.command()
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Start(); err != nil {
		return answer{}, err
	}
	timer := time.AfterFunc(d, func() { cmd.Process.Kill() })
	defer timer.Stop()
	cmd.Wait() // its status tells
	return answer{Stdout: stdout.String(), Stderr: stderr.String(), Status: cmd.ProcessState.ExitCode()}, nil
}

// A killer makes random calls and kills them at random times, in such a way that
// half of them end by themselves.
type killer struct {
	root          string
	rand          *rand.Rand
	most          time.Duration // after which a call is killed
	killed, ended *atomic.Int64
}

// crowded are the attachments that all killers call about: few, so that they meet.
func crowded() []attachment {
	return append(numbered("net", "c", 6), numbered("other", "c", 6)...)
}

func (k *killer) call() call {
	verbs := []string{"ADD", "ADD", "ADD", "DEL", "DEL", "GC", "CHECK"}
	declared := []string{created, created, namesOnly}
	all := crowded()
	who := all[k.rand.IntN(len(all))]
	return call{
		verb: verbs[k.rand.IntN(len(verbs))], who: who, root: k.root,
		maps: declared[len(who.container+who.network)%len(declared)], valid: all[3:9],
	}
}

// run makes n calls, and returns answers that no call may give.
func (k *killer) run(n int) (wrong []string, err error) {
	for range n {
		c := k.call()
		a, err := c.tryFor(rand.N(k.most))
		if err != nil {
			return nil, err
		}
		if a.Status < 0 {
			k.killed.Add(1)
			k.most += k.most / 50
			continue
		}
		k.ended.Add(1)
		k.most = max(k.most-k.most/50, time.Millisecond)
		if a.Status != 0 && c.verb != "CHECK" { // which finds no endpoint
			wrong = append(wrong, c.String()+": "+a.Stdout+a.Stderr)
		}
	}
	return wrong, nil
}

// TestKillUnderLoad kills thousands of processes at random times, while others
// change the same records. Between the rounds nobody has two IDs and nothing is
// left over.
func TestKillUnderLoad(t *testing.T) {
	const workers, calls = 8, 40
	var killed, ended atomic.Int64
	killers := make([]*killer, workers)
	for i := range killers {
		killers[i] = &killer{rand: rand.New(rand.NewPCG(1, uint64(i))), most: 4 * time.Millisecond, killed: &killed, ended: &ended}
	}
	root, start := newRoot(t), time.Now()
	rounds := 0
	for ; time.Since(start) < option[time.Duration](flagDuration); rounds++ {
		foreign := newRound(t, root, rounds)
		before := inodes(t, root, foreign)
		var group sync.WaitGroup
		for _, k := range killers {
			k.root = root
			group.Go(func() {
				wrong, err := k.run(calls)
				if wrong != nil || err != nil {
					t.Errorf("failures of round %d: got %q (%v), want none", rounds, wrong, err)
				}
			})
		}
		group.Wait()
		sound(t, root, foreign)
		empty(t, root, foreign, before)
	}
	t.Logf("%d rounds, %d processes killed at random times, %d ended before, %.1f s",
		rounds, killed.Load(), ended.Load(), time.Since(start).Seconds())
}

// newRound begins a round: every other one where nothing is mounted, the rest
// among pins of somebody else, whose paths it returns.
func newRound(t *testing.T, root string, round int) (foreign []string) {
	t.Helper()
	node.Unmount(root)
	testns.Must(t, os.RemoveAll(root))
	if round%2 == 0 {
		return nil
	}
	for _, a := range crowded() {
		c := call{verb: "ADD", who: a, root: root, maps: namesOnly}
		id, err := c.succeed(t).ID()
		testns.Must(t, err)
		foreign = append(foreign, node.Globals+"/calls_"+id)
		testns.Must(t, node.Pin(root+"/"+node.Globals+"/calls_"+id+"/of/others"))
		c.verb = "GC"
		c.valid = nil
		testns.Must(t, os.Rename(root+"/"+node.Globals+"/calls_"+id, root+"/kept")) // GC removes what is in the record
		c.succeed(t)
		testns.Must(t, os.Rename(root+"/kept", root+"/"+node.Globals+"/calls_"+id))
	}
	return foreign
}

// sound wants the invariants to hold.
func sound(t *testing.T, root string, foreign []string) {
	t.Helper()
	all := readTree(t, root)
	layers, err := node.Layers(root)
	testns.Must(t, err)
	if wrong := all.wrong(foreign); wrong != nil || len(layers) > 1 {
		t.Errorf("mounted at %s: got %q, want one bpf at most; wrong: got\n%s\nwant nothing", root, layers, strings.Join(wrong, "\n"))
	}
}

// empty wants one GC of each network to leave nothing but what is foreign.
func empty(t *testing.T, root string, foreign []string, before map[string]uint64) {
	t.Helper()
	for _, network := range []string{"net", "other"} {
		call{verb: "GC", who: attachment{network: network}, root: root}.succeed(t)
	}
	all := readTree(t, root)
	if diff := cmp.Diff(tree{}, all.without(foreign).left()); diff != "" {
		t.Errorf("GC without anything valid leaves (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(before, inodes(t, root, foreign)); before != nil && diff != "" {
		t.Errorf("foreign pins changed (-before +after):\n%s", diff)
	}
}
