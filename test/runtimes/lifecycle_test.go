package runtimes

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
	"github.com/cni-bpffs/cni-bpffs/test/internal/record"
)

func TestContainerd16(t *testing.T) {
	if onNode(t) {
		rt := newContainerd(t, "1.6")
		lifecycles(t, rt, "0.3.1", "0.4.0", "1.0.0")
		t.Run("1.1.0", func(t *testing.T) { tooNew(t, rt) })
	}
}

func TestContainerd24(t *testing.T) {
	if onNode(t) {
		lifecycles(t, newContainerd(t, "2.4"), "0.3.1", "0.4.0", "1.0.0", "1.1.0")
	}
}

// ours is our plugin's configuration in front of pktcount.
const ours = `{"type": "bpffs", "maps": [
	{"name": "policy_"},
	{"name": "stats_", "type": "percpu_array", "keySize": 4, "valueSize": 16, "maxEntries": 2},
	{"name": "pktcount_rx_"}, {"name": "pktcount_tx_"}]}`

// conflist returns a network of a bridge, some plugins, pktcount and record.
func conflist(version string, plugins ...string) string {
	all := slices.Concat([]string{`{"type": "bridge", "bridge": "br0", "isGateway": true, "ipMasq": false,
		"ipam": {"type": "host-local", "subnet": "10.244.79.0/24", "routes": [{"dst": "0.0.0.0/0"}]}}`}, plugins,
		[]string{`{"type": "pktcount"}`, fmt.Sprintf(`{"type": "record", "log": %q, "failAdd": %q}`, callLog, failFile)})
	return fmt.Sprintf(`{"cniVersion": %q, "name": %q, "plugins": [%s]}`, version, network, strings.Join(all, ",\n"))
}

// lifecycles plays the lives of pods in each version of CNI that the runtime has.
func lifecycles(t *testing.T, rt *containerd, versions ...string) {
	t.Helper()
	steps := []struct {
		name, feature string
		do            func(t *testing.T, rt *containerd, version string)
	}{
		{"life", "a pod from ADD to a DEL sent twice, packets counted", life},
		{"later plugin fails", "ADD fails in a later plugin: nothing left", failingAdd},
		{"restart", "containerd restarted under a pod", restart},
	}
	t.Cleanup(func() { note(t, rt.subject(), "verbs that plugins get", verbs(t)) })
	t.Run("many", func(t *testing.T) {
		works(t, rt.subject(), "50 pods at once")
		many(t, rt)
	})
	for _, s := range steps {
		t.Run(s.name, func(t *testing.T) {
			works(t, rt.subject(), s.feature+"; cniVersion "+strings.Join(versions, ", "))
			for _, v := range versions {
				rt.network(t, conflist(v, ours))
				rt.wantNetwork(t, "")
				s.do(t, rt, v)
			}
		})
	}
}

// tooNew gives the runtime a network in a version that its libcni does not have.
func tooNew(t *testing.T, rt *containerd) {
	t.Helper()
	works(t, rt.subject(), "cniVersion 1.1.0 is refused, but not before a pod is run")
	rt.network(t, conflist("1.1.0", ours))
	rt.wantNetwork(t, "")
	err := rt.newPod(t, "new").run(t.Context())
	t.Logf("running a pod: %v", err)
	if err == nil {
		t.Error("running a pod with cniVersion 1.1.0: got success, want an error")
	}
	nothingLeft(t)
}

// life plays the life of a pod.
func life(t *testing.T, rt *containerd, version string) {
	t.Helper()
	p := rt.newPod(t, "life")
	must(t, p.run)
	rt.isMountedFor(t)
	ep := pinned(t, p.id)
	counts(t, ep, p.send, p.container(t))
	must(t, p.stop)
	nothingLeft(t)
	must(t, p.remove)
	nothingLeft(t)
	hasResult := version != "0.3.1" // before 0.4.0 no DEL has one
	dels := deletions(t, p.id)
	if len(dels) != 2 || dels[0].NetNS == "" || (dels[0].PrevResult != nil) != hasResult || dels[1].NetNS != "" || dels[1].PrevResult != nil {
		t.Errorf("calls of DEL: got %+v, want two, the second without netns and prevResult", dels)
	}
}

// isMountedFor reports if the bpffs is not mounted where the runtime is.
func (c *containerd) isMountedFor(t *testing.T) {
	t.Helper()
	ns, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/mnt", c.cmd.Process.Pid))
	testns.Must(t, err)
	for _, c := range recorded(t) {
		if c.MountNS != ns {
			t.Errorf("mount namespace of %s: got %s, want the runtime's: %s", c.Command, c.MountNS, ns)
		}
	}
	var fs unix.Statfs_t
	err = unix.Statfs(fmt.Sprintf("/proc/%d/root%s", c.cmd.Process.Pid, bpfRoot), &fs)
	if err != nil || fs.Type != unix.BPF_FS_MAGIC {
		t.Errorf("type of the file system that the runtime has at %s: got %#x (%v), want bpffs", bpfRoot, fs.Type, err)
	}
}

// pinned returns the endpoint of the pod, whose paths have reached the last
// plugin and are all there, but for the one that is only named.
func pinned(t *testing.T, id string) bpffs.Endpoint {
	t.Helper()
	ep, ok := endpoints(t)[id]
	if !ok {
		t.Fatalf("endpoints: got %v, want one of %s", endpoints(t), id)
	}
	for _, name := range []string{"stats_", "pktcount_rx_", "pktcount_tx_"} {
		if _, err := os.Lstat(mapDir + "/" + bpffs.LocalMapName(name, ep.ID)); err != nil {
			t.Error(err)
		}
	}
	if paths, err := addition(t, id).Paths(); err != nil || len(paths) != len(ep.Pins) {
		t.Errorf("paths that the last plugin got: got %q (%v), want those that are recorded: %q", paths, err, ep.Pins)
	}
	return ep
}

// addition returns the call of ADD for a container.
func addition(t *testing.T, id string) record.Call {
	t.Helper()
	calls := recorded(t)
	at := slices.IndexFunc(calls, func(c record.Call) bool { return c.Command == "ADD" && c.ContainerID == id })
	if at < 0 {
		t.Fatalf("calls: got %+v, want an ADD for %s", calls, id)
	}
	return calls[at]
}

// counts reports if packets that send sends from a container are not counted.
func counts(t *testing.T, ep bpffs.Endpoint, send func(*testing.T, string, int), container string) {
	t.Helper()
	const packets = 7
	before := sent(t, ep)
	send(t, container, packets)
	if n := sent(t, ep) - before; n < packets { // the kernel sends some of its own
		t.Errorf("packets counted: got %d, want at least %d", n, packets)
	}
}

// deletions returns the calls of DEL for a container.
func deletions(t *testing.T, id string) []record.Call {
	t.Helper()
	return slices.DeleteFunc(recorded(t), func(c record.Call) bool { return c.Command != "DEL" || c.ContainerID != id })
}

// verbs returns what the plugins were called with.
func verbs(t *testing.T) string {
	t.Helper()
	var all []string
	for _, c := range recorded(t) {
		all = append(all, c.Command)
	}
	slices.Sort(all)
	return strings.Join(slices.Compact(all), ", ")
}

// failingAdd lets the last plugin of a chain fail.
func failingAdd(t *testing.T, rt *containerd, _ string) {
	t.Helper()
	write(t, failFile, "")
	p := rt.newPod(t, "failing")
	err := p.run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "record was told to fail") {
		t.Errorf("running a pod: got the error %v, want that of the last plugin", err)
	}
	nothingLeft(t)
	calls := recorded(t)
	if last := calls[len(calls)-1]; last.Command != "DEL" || last.PrevResult != nil {
		t.Errorf("last call: got %+v, want a DEL without prevResult", last)
	}
	testns.Must(t, os.Remove(failFile))
}

// restart restarts the runtime under a pod.
func restart(t *testing.T, rt *containerd, _ string) {
	t.Helper()
	p := rt.newPod(t, "restarted")
	must(t, p.run)
	ep, container := pinned(t, p.id), p.container(t)
	rt.stop(t)
	rt.start(t)
	counts(t, ep, p.send, container)
	p.end(t)
	nothingLeft(t)
}

// many starts, stops and removes pods at the same time.
func many(t *testing.T, rt *containerd) {
	t.Helper()
	rt.network(t, conflist("1.0.0", ours))
	const n = 50
	pods := make([]*pod, n)
	for i := range pods {
		pods[i] = rt.newPod(t, fmt.Sprint("many-", i))
	}
	each(t, pods, (*pod).run)
	ids := make(map[uint16]bool)
	for id, ep := range endpoints(t) {
		pinned(t, id)
		ids[ep.ID] = true
	}
	if len(ids) != n {
		t.Errorf("endpoint IDs: got %d, want one for each of %d pods", len(ids), n)
	}
	each(t, pods, (*pod).stop)
	each(t, pods, (*pod).remove)
	nothingLeft(t)
}

// each calls do for all pods at the same time.
func each(t *testing.T, pods []*pod, do func(*pod, context.Context) error) {
	t.Helper()
	errs := make([]error, len(pods))
	var all sync.WaitGroup
	for i, p := range pods {
		all.Go(func() { errs[i] = do(p, t.Context()) })
	}
	all.Wait()
	testns.Must(t, errors.Join(errs...))
}
