package lost

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/testadd"
	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

func TestMain(m *testing.M) {
	testns.Act(map[string]func(io.Writer) error{"add": addAgain, "show": showApart})
	os.Exit(testns.Main(m))
}

const after = 10 * time.Minute

// policy is the map that every endpoint of these tests has.
func policy() bpffs.MapDecl {
	return bpffs.MapDecl{Name: "policy_", Spec: bpffs.MapSpec{Type: unix.BPF_MAP_TYPE_HASH, KeySize: 4, ValueSize: 8, MaxEntries: 10}}
}

func attachment(container string) bpffs.Attachment {
	return bpffs.Attachment{Network: "pods", ContainerID: container, IfName: "eth0"}
}

// A rig is a machine, and a collector that sees it from its container.
type rig struct {
	machine
	collector *Collector
	root      string   // of the bpffs, as the node has it
	log       []string // of the collector
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{machine: newMachine(t)}
	r.mount(t)
	r.root = "/bpf"
	testns.Must(t, os.Mkdir(r.node+r.root, 0o755))
	testns.Mount(t, "bpf", r.node+r.root, "mode=0700")
	conf := testns.Files(t, map[string]string{"10.conflist": `{"cniVersion": "1.0.0", "name": "pods", "plugins": [
		{"type": "bridge"}, {"type": "bpffs", "bpfRoot": "` + r.root + `"}]}`})
	r.collector = &Collector{ConfDir: conf, Node: r.node, After: after, Log: func(format string, args ...any) {
		r.log = append(r.log, fmt.Sprintf(format, args...))
	}}
	return r
}

// add does what ADD does for the container.
func (r *rig) add(t *testing.T, container, netns string) {
	t.Helper()
	time.Sleep(20 * time.Millisecond) // the kernel's clock for files ticks more slowly
	_, err := testadd.Add(t.Context(), r.node+r.root, attachment(container), bpffs.Details{Pod: "my-ns/" + container, NetNS: netns}, policy())
	testns.Must(t, err)
}

// look looks at the node at a time.
func (r *rig) look(t *testing.T, now time.Duration) {
	t.Helper()
	r.collector.look(t.Context(), func() time.Duration { return now })
}

// at looks at the node at a time, and wants these containers to have an endpoint then.
func (r *rig) at(t *testing.T, now time.Duration, want ...string) {
	t.Helper()
	r.look(t, now)
	if diff := cmp.Diff(want, r.containers(t)); diff != "" {
		t.Errorf("endpoints after a look at %v (-want +got):\n%s\n%q", now, diff, r.log)
	}
}

// containers returns those that have an endpoint and its map.
func (r *rig) containers(t *testing.T) (names []string) {
	t.Helper()
	e, err := bpffs.OpenEndpoints(t.Context(), r.node+r.root)
	testns.Must(t, err)
	defer e.Close()
	for ep, err := range e.All() {
		testns.Must(t, err)
		if _, err := os.Lstat(ep.Pins[0]); err == nil {
			names = append(names, ep.Attachment.ContainerID)
		}
	}
	slices.Sort(names)
	return names
}

// said wants the log to have so many lines with the words.
func (r *rig) said(t *testing.T, want int, words string) {
	t.Helper()
	got := 0
	for _, line := range r.log {
		if strings.Contains(line, words) {
			got++
		}
	}
	if got != want {
		t.Errorf("lines with %q: got %d, want %d: %q", words, got, want, r.log)
	}
}

// A namespace that is gone twice, ten minutes apart, is a lost pod's; no other is.
func TestLook(t *testing.T) {
	r := newRig(t)
	r.pod(t, "runs")
	testns.Must(t, os.WriteFile(namespaces+"/left", nil, 0o600))
	r.add(t, "elsewhere", "/run/elsewhere/gone")
	r.add(t, "left", "/run/netns/left")
	r.add(t, "lost", "/run/netns/gone")
	r.add(t, "process", "/proc/1073741823/ns/net")
	r.add(t, "runs", "/var/run/netns/runs")
	r.add(t, "unknown", "")
	all := []string{"elsewhere", "left", "lost", "process", "runs", "unknown"}
	rest := slices.Delete(slices.Clone(all), 2, 3)
	r.at(t, 0, all...)
	r.at(t, after-1, all...)
	r.at(t, after, rest...)
	r.at(t, 3*after, rest...)
	r.said(t, 1, "(pod my-ns/lost, container lost, eth0 on pods): no DEL came, and /run/netns/gone has been gone for 10m0s")
	if len(r.log) != 1 || r.collector.Released() != 1 {
		t.Errorf("got the log %q and %d released, want one", r.log, r.collector.Released())
	}
}

// Whatever happens in between starts the ten minutes anew.
func TestTimeStartsAnew(t *testing.T) {
	for _, tt := range []struct {
		name    string
		between func(t *testing.T, r *rig) (undo func())
	}{
		{"an ADD of the same pod", func(t *testing.T, r *rig) func() {
			t.Helper()
			r.add(t, "lost", "/run/netns/gone")
			return func() {}
		}},
		{"the namespace is there", func(t *testing.T, r *rig) func() { t.Helper(); return r.pod(t, "gone") }},
		{"the directory is not mounted", func(t *testing.T, r *rig) func() {
			t.Helper()
			testns.Must(t, syscall.Unmount(r.netns(), syscall.MNT_DETACH))
			return func() {
				r.mount(t)
				r.said(t, 1, "the network namespace of 1 endpoint is missing, but it was not seen there at ADD")
			}
		}},
		{"the records are not there", func(t *testing.T, r *rig) func() {
			t.Helper()
			testns.Must(t, os.Rename(r.node+r.root+"/cni", r.node+r.root+"/away"))
			return func() { testns.Must(t, os.Rename(r.node+r.root+"/away", r.node+r.root+"/cni")) }
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			r.add(t, "lost", "/run/netns/gone")
			r.at(t, 0, "lost")
			undo := tt.between(t, r)
			r.look(t, after)
			r.look(t, after+1)
			undo()
			r.at(t, after+2, "lost")
			r.at(t, 2*after-1, "lost")
			r.at(t, 2*after+2)
		})
	}
}

// A look that finds a record lost releases only that: what is another's by then, or
// lives again, stays.
func TestBeforeTheRelease(t *testing.T) {
	r := newRig(t)
	for _, name := range []string{"again", "lives", "lost"} {
		r.add(t, name, "/run/netns/"+name)
	}
	all, err := r.collector.records(t.Context())
	testns.Must(t, err)
	r.add(t, "again", "/run/netns/again")
	r.pod(t, "lives")
	r.collector.release(t.Context(), all)
	if diff := cmp.Diff([]string{"again", "lives"}, r.containers(t)); diff != "" {
		t.Errorf("endpoints (-want +got):\n%s", diff)
	}
	r.add(t, "lost", "/run/netns/lost")
	all, err = r.collector.records(t.Context())
	testns.Must(t, err)
	testns.Must(t, syscall.Unmount(r.netns(), syscall.MNT_DETACH))
	r.collector.release(t.Context(), all)
	if diff := cmp.Diff([]string{"again", "lives", "lost"}, r.containers(t)); diff != "" {
		t.Errorf("endpoints, where the directory is not the node's any more (-want +got):\n%s", diff)
	}
}

// The end of the collector is no reason to tell of endpoints.
func TestEnded(t *testing.T) {
	r := newRig(t)
	r.add(t, "lost", "/run/netns/gone")
	all, err := r.collector.records(t.Context())
	testns.Must(t, err)
	e, err := bpffs.OpenEndpoints(t.Context(), r.node+r.root)
	testns.Must(t, err)
	defer e.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r.collector.release(ctx, all)
	r.said(t, 0, "")
}

// What cannot be released is said once, and tried again.
func TestStuck(t *testing.T) {
	r := newRig(t)
	r.add(t, "lost", "/run/netns/gone")
	r.at(t, 0, "lost")
	globals := r.node + r.root + "/tc/globals"
	pins, err := os.ReadDir(globals)
	testns.Must(t, err)
	pin := globals + "/" + pins[0].Name()
	testns.Must(t, os.Remove(pin))
	testns.Must(t, os.Mkdir(pin, 0o700))
	testns.Mount(t, "tmpfs", pin, "")
	r.at(t, after, "lost")
	r.at(t, after+1, "lost")
	r.said(t, 1, "stays, though /run/netns/gone has been gone for 10m0s: ")
	testns.Must(t, syscall.Unmount(pin, 0))
	r.at(t, after+2)
	if len(r.log) != 2 || r.collector.Released() != 1 {
		t.Errorf("got the log %q and %d released, want that it stays, and then not", r.log, r.collector.Released())
	}
}

// A container that does not have the bpffs that the configuration names is told so.
func TestBPFFSMissing(t *testing.T) {
	r := newRig(t)
	testns.Must(t, syscall.Unmount(r.node+r.root, 0))
	r.look(t, 0)
	r.look(t, 1)
	r.said(t, 0, "")
	testns.Must(t, os.Remove(r.node+r.root))
	r.look(t, 2)
	r.look(t, 3)
	r.said(t, 1, "mount the node's /bpf there with mountPropagation HostToContainer")
}

// What a pod saw in its volume can only be unmounted where it was mounted, on the node:
// its endpoint stays, and the log says where to remove it.
func TestVolumeElsewhere(t *testing.T) {
	r := newRig(t)
	const uid = "0a1b-2c"
	testns.StartApart(t, "show", "ROOT="+r.node+r.root, "KUBELET="+t.TempDir(), "UID="+uid)
	r.at(t, 0, "lost")
	r.at(t, after, "lost")
	r.at(t, after+1, "lost")
	r.said(t, 1, "type nsenter --target ")
}

// showApart does what ADD does for a pod with a volume, in a mount namespace of its own.
func showApart(stdout io.Writer) error {
	ctx, root := context.Background(), os.Getenv("ROOT")
	m := policy()
	m.Pod = bpffs.PodReads
	id, err := testadd.Add(ctx, root, attachment("lost"), bpffs.Details{NetNS: "/run/netns/gone"}, m)
	if err == nil {
		err = testadd.Volume{KubeletDir: os.Getenv("KUBELET"), UID: os.Getenv("UID")}.Show(ctx, root, id, m)
	}
	if err == nil {
		_, err = fmt.Fprintln(stdout, "shown")
	}
	testns.Await()
	return err
}
