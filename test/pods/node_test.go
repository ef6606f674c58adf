package pods

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/google/go-cmp/cmp"
	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"github.com/cni-bpffs/cni-bpffs/internal/bpf"
	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/test/internal/node"
	"github.com/cni-bpffs/cni-bpffs/test/internal/plugintest"
)

const (
	root       = "/sys/fs/bpf"
	kubeletDir = "/var/lib/kubelet"
)

type keys = plugintest.Keys

// A sandbox is one of a pod, for one interface of which a runtime calls the plugin.
type sandbox struct {
	plugin                 plugintest.Plugin
	keys                   keys // of the network configuration, beside those of withVolume
	uid, container, ifName string
	netns                  string // if it matters
	token                  bool   // the pod gets one
}

// shows are the maps of the network's pods, if nothing else is said.
func shows() []keys {
	return []keys{
		{"name": "stats_", "type": "array", "keySize": 4, "valueSize": 8, "maxEntries": 1, "pod": "rw"},
		{"name": "policy_", "type": "hash", "keySize": 4, "valueSize": 8, "maxEntries": 8, "pod": "ro"},
		{"name": "calls_", "type": "prog_array", "keySize": 4, "valueSize": 4, "maxEntries": 1},
	}
}

// newSandbox makes a node with the volume of a pod, and returns the pod's sandbox.
func newSandbox(t *testing.T) sandbox {
	t.Helper()
	s := sandbox{plugin: node.New(t, "../.."), uid: "0a1b-2c", container: "c1", ifName: "eth0"}
	s.makeVolume(t)
	return s
}

// eachKernel runs the test as on this kernel, and as on one without statmount(2) and
// mount_setattr(2). With -short only as on this one, which can be an old one.
func eachKernel(t *testing.T, test func(t *testing.T, s sandbox)) {
	t.Helper()
	t.Run("this kernel", func(t *testing.T) { test(t, newSandbox(t)) })
	if testing.Short() {
		return
	}
	t.Run("an older kernel", func(t *testing.T) {
		s := newSandbox(t)
		old, err := s.plugin.Within(plugintest.Limits{Fail: map[uint32]unix.Errno{
			unix.SYS_STATMOUNT: unix.ENOSYS, unix.SYS_MOUNT_SETATTR: unix.ENOSYS,
		}})
		testns.Must(t, err)
		s.plugin = old
		test(t, s)
	})
}

// volume returns where the pod's emptyDir is.
func (s sandbox) volume() string {
	return filepath.Join(kubeletDir, "pods", s.uid, "volumes/kubernetes.io~empty-dir/bpffs")
}

// makeVolume makes the emptyDir as kubelet does.
func (s sandbox) makeVolume(t testing.TB) {
	t.Helper()
	dir := s.volume()
	testns.Must(t, os.MkdirAll(dir, 0o750))
	testns.Must(t, os.Chmod(dir, 0o777))
	t.Cleanup(func() { unmountBelow(t, dir) })
}

// at returns a path below the directory of the interface.
func (s sandbox) at(name string) string { return filepath.Join(s.volume(), s.ifName, name) }

// with returns the sandbox in a network with other keys; nil removes one.
func (s sandbox) with(more keys) sandbox {
	all := keys{}
	maps.Copy(all, s.keys)
	maps.Copy(all, more)
	s.keys = all
	return s
}

func (s sandbox) conf(more keys) string {
	return plugintest.Conf(keys{"podVolume": "bpffs", "maps": shows()}, s.keys, more)
}

func (s sandbox) env() []string {
	env := []string{
		"CNI_CONTAINERID=" + s.container, "CNI_IFNAME=" + s.ifName,
		"CNI_ARGS=K8S_POD_NAMESPACE=a;K8S_POD_NAME=b;K8S_POD_UID=" + s.uid,
	}
	if s.netns != "" {
		env = append(env, "CNI_NETNS="+s.netns)
	}
	return env
}

// dirs returns the directories of the interface, each of which is a mount.
func (s sandbox) dirs() []string {
	if s.token {
		return []string{"maps-rw", "token"}
	}
	return []string{"maps", "maps-rw"}
}

// add wants an ADD to succeed and to show all that the pod is to see.
func (s sandbox) add(t *testing.T) (result string) {
	t.Helper()
	result = s.plugin.Succeed(t, "ADD", s.conf(nil), s.env()...).Stdout
	s.wantShown(t)
	return result
}

func (s sandbox) del(t *testing.T) {
	t.Helper()
	s.plugin.Succeed(t, "DEL", s.conf(nil), s.env()...)
}

// gc calls GC with nothing valid.
func (s sandbox) gc(t *testing.T) {
	t.Helper()
	s.plugin.Succeed(t, "GC", s.conf(keys{"cni.dev/valid-attachments": []keys{}}), s.env()...)
}

func (s sandbox) fail(t *testing.T, code uint, verb string, parts ...string) {
	t.Helper()
	s.plugin.Fail(t, code, parts, verb, s.conf(keys{"cni.dev/valid-attachments": []keys{}}), s.env()...)
}

// pins returns the paths of the maps on the node, by their declared names.
func (s sandbox) pins(t *testing.T) map[string]string {
	t.Helper()
	links, err := filepath.Glob(filepath.Join(root, "cni/attachments/*", s.container, s.ifName))
	testns.Must(t, err)
	if len(links) != 1 {
		t.Fatalf("%s of %s has the entries %q in the index, want one", s.ifName, s.container, links)
	}
	id, err := os.Readlink(links[0])
	testns.Must(t, err)
	all := make(map[string]string)
	for _, name := range []string{"stats_", "policy_", "calls_"} {
		all[name] = filepath.Join(root, node.Globals, name+id)
	}
	return all
}

// mapID returns the kernel's ID of the map that is pinned at path.
func mapID(t *testing.T, path string) ebpf.MapID {
	t.Helper()
	id, err := bpf.MapID(path)
	testns.Must(t, err)
	return ebpf.MapID(id)
}

// wantShown wants the pod to see its maps, under their names, and no others.
func (s sandbox) wantShown(t *testing.T) {
	t.Helper()
	pins := s.pins(t)
	shown := map[string]string{"maps": "policy_", "maps-rw": "stats_"}
	var want []string
	for _, dir := range s.dirs() {
		want = append(want, s.at(dir))
		name, ok := shown[dir]
		if !ok {
			continue
		}
		if got := names(t, s.at(dir)); !cmp.Equal(got, []string{name}) {
			t.Errorf("%s shows %q, want %s", dir, got, name)
			continue
		}
		if got, want := mapID(t, filepath.Join(s.at(dir), name)), mapID(t, pins[name]); got != want {
			t.Errorf("%s shows the map %d as %s, want %d", dir, got, name, want)
		}
	}
	if got := mountsBelow(t, s.at("")); !cmp.Equal(got, want) {
		t.Errorf("mounted in the volume: %q, want %q", got, want)
	}
}

// names returns what is in the directory, but for what the kernel puts there.
func names(t *testing.T, dir string) (all []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	testns.Must(t, err)
	for _, e := range entries {
		if !isDebug(e.Name()) {
			all = append(all, e.Name())
		}
	}
	return all
}

// isDebug reports whether the kernel puts the file into each bpffs of the node.
func isDebug(name string) bool { return strings.HasSuffix(name, ".debug") }

// mountsBelow returns the mount points below dir.
func mountsBelow(t testing.TB, dir string) (points []string) {
	t.Helper()
	all, err := mountinfo.GetMounts(func(m *mountinfo.Info) (skip, stop bool) {
		return !strings.HasPrefix(m.Mountpoint, filepath.Clean(dir)+"/"), false
	})
	testns.Must(t, err)
	for _, m := range all {
		points = append(points, m.Mountpoint)
	}
	slices.Sort(points)
	return points
}

func unmountBelow(t testing.TB, dir string) {
	t.Helper()
	for _, point := range slices.Backward(mountsBelow(t, dir)) {
		node.Unmount(point)
	}
}

// wantNothing wants nothing left in the volume, nor of the records.
func (s sandbox) wantNothing(t *testing.T) {
	t.Helper()
	if got := mountsBelow(t, kubeletDir); got != nil {
		t.Errorf("still mounted: %q", got)
	}
	if entries, err := os.ReadDir(s.volume()); len(entries) > 0 || err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Errorf("left in the volume: %v, %v", entries, err)
	}
	wantNoRecords(t)
}

// wantNoRecords wants nothing left in the bpffs of the node, if there is one.
func wantNoRecords(t *testing.T) {
	t.Helper()
	tree, err := node.Kinds(root)
	testns.Must(t, err)
	if left := tree.Left(); len(left) > 0 {
		t.Errorf("left in the bpffs of the node: %v", left)
	}
}

// shownIDs returns the IDs of the maps that the pod sees.
func (s sandbox) shownIDs(t *testing.T) []ebpf.MapID {
	t.Helper()
	pins := s.pins(t)
	return []ebpf.MapID{mapID(t, pins["stats_"]), mapID(t, pins["policy_"])}
}

// wantGone waits until the kernel has the maps no more, which takes a moment after
// their last user. It is not for program arrays: the kernel loses one that is opened
// by its ID while it is being emptied (Linux 6.18).
func wantGone(t *testing.T, ids ...ebpf.MapID) {
	t.Helper()
	for _, id := range ids {
		for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			m, err := ebpf.NewMapFromID(id)
			if errors.Is(err, os.ErrNotExist) {
				break
			}
			testns.Must(t, err)
			m.Close()
			if time.Now().After(end) {
				t.Fatalf("the kernel still has the map %d", id)
			}
		}
	}
}

// hold starts a process with a private copy of all mounts, which it keeps until the
// test ends.
func hold(t *testing.T) {
	t.Helper()
	testns.Start(t, "holder")
}

func holder(stdout io.Writer) error {
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return os.NewSyscallError("unshare", err)
	}
	fmt.Fprintln(stdout)
	testns.Await()
	return nil
}

// withResult returns the sandbox with the result of ADD in its configuration, as
// CHECK wants it.
func (s sandbox) withResult(result string) sandbox {
	return s.with(keys{"prevResult": json.RawMessage(result)})
}
