package reliability

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/google/go-cmp/cmp"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
	"github.com/cni-bpffs/cni-bpffs/test/internal/meminfo"
	"github.com/cni-bpffs/cni-bpffs/test/internal/node"
)

// A soak is a node on which some pods stay, while others come and go in a race.
type soak struct {
	*race

	prefix string // of the names of its maps, which nobody else has
	start  time.Time
}

// A sample is what the node has while only the pods are there that stay.
type sample struct {
	at     time.Duration
	calls  int64
	tree   tree
	maps   int    // in the kernel
	memory uint64 // of these
	mounts int
	slab   int
}

// stay is how many pods stay, each with two maps: kubelet's default for a node.
const stay = 110

func newSoak(t *testing.T) *soak {
	t.Helper()
	prefix := fmt.Sprintf("s%06d_", rand.IntN(1_000_000))
	maps := fmt.Sprintf(`[{"name": "%[1]sa_", "type": "array", "keySize": 4, "valueSize": 8, "maxEntries": 1},
		{"name": "%[1]sb_", "type": "hash", "keySize": 4, "valueSize": 4, "maxEntries": 2}]`, prefix)
	r := &race{T: t, root: sharedRoot(t), maps: maps, racers: 24, owner: make(map[string]attachment), calls: new(atomic.Int64)}
	for _, a := range numbered("stays", "pod", stay) {
		r.call("ADD", a).succeed(t)
	}
	return &soak{r, prefix, time.Now()}
}

// sample looks at the node. The kernel frees maps some time after their last user.
func (s *soak) sample() sample {
	s.Helper()
	now := sample{at: time.Since(s.start), calls: s.calls.Load(), tree: s.sound().left()}
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		var err error
		now.maps, now.memory, err = s.inKernel()
		testns.Must(s.T, err)
		if now.maps <= 2*stay || time.Now().After(end) {
			break
		}
	}
	table, err := os.ReadFile("/proc/self/mountinfo")
	testns.Must(s.T, err)
	now.mounts = strings.Count(string(table), "\n")
	now.slab, err = meminfo.Slab()
	testns.Must(s.T, err)
	return now
}

// inKernel returns how many of the soak's maps there are, and their memory.
func (s *soak) inKernel() (maps int, memory uint64, err error) {
	for id := ebpf.MapID(0); ; {
		if id, err = ebpf.MapGetNextID(id); errors.Is(err, fs.ErrNotExist) {
			break
		} else if err != nil {
			return 0, 0, err
		}
		if ours, err := s.isOurs(id); err != nil {
			return 0, 0, err
		} else if ours {
			maps++
		}
	}
	pins, err := filepath.Glob(filepath.Join(s.root, node.Globals, s.prefix+"*"))
	for _, pin := range pins {
		info, err := bpffs.ReadMap(pin)
		if err != nil {
			return 0, 0, err
		}
		memory += info.Memory
	}
	return maps, memory, err
}

// isOurs reports whether the map is one of the soak's, and still there.
func (s *soak) isOurs(id ebpf.MapID) (bool, error) {
	m, err := ebpf.NewMapFromID(id)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer m.Close()
	info, err := m.Info()
	return err == nil && strings.HasPrefix(info.Name, s.prefix), err
}

// same wants the node to have the same as at first, whatever has happened since.
func (s *soak) same(first, now sample) {
	s.Helper()
	if diff := cmp.Diff(first.tree, now.tree); diff != "" {
		s.Errorf("the bpffs after %v (-first +now):\n%s", now.at, diff)
	}
	if now.maps != first.maps || now.memory != first.memory || now.mounts != first.mounts {
		s.Errorf("after %v: got %d maps of %d bytes and %d mounts, want as at first %d of %d and %d",
			now.at, now.maps, now.memory, now.mounts, first.maps, first.memory, first.mounts)
	}
}

func (s sample) String() string {
	return fmt.Sprintf("| %s | %d | %d | %d | %d KiB | %d | %d MiB |",
		s.at.Round(time.Second), s.calls, len(s.tree.ids()), s.maps, s.memory>>10, s.mounts, s.slab>>20)
}

// TestSoak: on a node on which pods come and go nothing grows, and those that stay
// keep what they have.
func TestSoak(t *testing.T) {
	const (
		longRun = 10 * time.Minute // from which on the whole machine's Slab says something
		grows   = 64 << 20         // by as much it may, for others use it
	)
	duration := option[time.Duration](flagSoak)
	rounds := min(20, max(4, int(duration/(3*time.Second))))
	s := newSoak(t)
	first := s.sample()
	all := []sample{first}
	for len(all) <= rounds && !t.Failed() {
		s.stop = time.Now().Add(duration / time.Duration(rounds))
		s.play()
		s.settle()
		now := s.sample()
		s.same(first, now)
		all = append(all, now)
	}
	table := "| after | calls | endpoints | maps in the kernel | memory of the maps | mounts | Slab |\n|---|---|---|---|---|---|---|"
	for _, each := range all {
		table += "\n" + each.String()
	}
	t.Logf("\n%s", table)
	if grown := all[len(all)-1].slab - all[min(2, len(all)-1)].slab; duration >= longRun && grown > grows {
		t.Errorf("Slab of the machine: grew by %d MiB in %v, want at most %d MiB; run it where nothing else runs", grown>>20, duration, grows>>20)
	}
}
