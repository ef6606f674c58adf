package doctor

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/testadd"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/testcri"
	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

// rig is a healthy node: a shared bpffs with one pod, whose map is pinned.
type rig struct {
	Options

	t           *testing.T
	id          uint16
	pod         bpffs.Attachment
	netns       string
	cri         *testcri.Runtime
	stopRuntime func()
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, Options: Options{Root: testns.BPFFS(t), Version: built, Patience: 5 * time.Second}}
	r.share(t, r.Root)
	r.install(t)
	r.startRuntime()
	r.pod = bpffs.Attachment{Network: "net", ContainerID: "c1", IfName: "eth0"}
	r.netns = filepath.Join(t.TempDir(), "netns")
	testns.Must(t, os.WriteFile(r.netns, nil, 0o600))
	testns.Bind(t, "/proc/self/ns/net", r.netns)
	r.id = r.add(t, r.pod)
	return r
}

// install puts the built plugin and a network that has it onto the node.
func (r *rig) install(t *testing.T) {
	t.Helper()
	r.BinDir, r.ConfDir = t.TempDir(), t.TempDir()
	r.putPlugin(t)
	r.write(t, "10-net.conflist", listOf("1.0.0", "net", ours))
}

// putPlugin copies the built plugin.
func (r *rig) putPlugin(t *testing.T) {
	t.Helper()
	path, err := exec.LookPath("bpffs")
	testns.Must(t, err)
	built, err := os.ReadFile(path)
	testns.Must(t, err)
	testns.Must(t, os.WriteFile(filepath.Join(r.BinDir, "bpffs"), built, 0o755))
}

// write writes a file of the directory of networks.
func (r *rig) write(t *testing.T, name, content string) {
	t.Helper()
	path := filepath.Join(r.ConfDir, name)
	mkdir(t, filepath.Dir(path))
	testns.Must(t, os.WriteFile(path, []byte(content), 0o644))
}

const (
	bridge = `{"type": "bridge"}`
	ours   = `{"type": "bpffs", "maps": [{"name": "stats_", "type": "array", "keySize": 4, "valueSize": 8, "maxEntries": 1}, {"name": "policy_"}]}`
)

// listOf returns a network of a bridge and what else is in the chain.
func listOf(version, name string, plugins ...string) string {
	return chain(version, name, append([]string{bridge}, plugins...)...)
}

func chain(version, name string, plugins ...string) string {
	return fmt.Sprintf("{\n  %q: %q,\n  %q: %q,\n  \"plugins\": [%s]\n}\n",
		"cniVersion", version, "name", name, strings.Join(plugins, ", "))
}

func (r *rig) share(t *testing.T, path string) {
	t.Helper()
	testns.Must(t, syscall.Mount("", path, "", syscall.MS_SHARED, ""))
}

func (r *rig) dir(t *testing.T) bpffs.MapDir {
	t.Helper()
	dir, err := bpffs.NewMapDir(r.Root, "")
	testns.Must(t, err)
	return dir
}

// add does what an ADD of the attachment does.
func (r *rig) add(t *testing.T, a bpffs.Attachment) uint16 {
	t.Helper()
	return r.addNames(t, a, "stats_")
}

// addNames does so with names of local maps, of which only the first is made.
func (r *rig) addNames(t *testing.T, a bpffs.Attachment, names ...string) uint16 {
	t.Helper()
	maps := make([]bpffs.MapDecl, len(names))
	for i, name := range names {
		maps[i].Name = name
	}
	maps[0].Spec = bpffs.MapSpec{Type: unix.BPF_MAP_TYPE_ARRAY, KeySize: 4, ValueSize: 8, MaxEntries: 1}
	id, err := testadd.Add(t.Context(), r.Root, a, bpffs.Details{Pod: "my-ns/web-0", NetNS: r.netns}, maps...)
	testns.Must(t, err)
	return id
}

// del does what a DEL of the attachment does.
func (r *rig) del(t *testing.T, a bpffs.Attachment) {
	t.Helper()
	e, err := bpffs.OpenEndpoints(t.Context(), r.Root)
	testns.Must(t, err)
	defer e.Close()
	testns.Must(t, e.Release(a))
}

// pin makes something at a name in the map directory; what it is, matters to
// nobody here.
func (r *rig) pin(t *testing.T, name string) {
	t.Helper()
	mkdir(t, r.dir(t).MapPath(name))
}

func (r *rig) records(parts ...string) string {
	return filepath.Join(append([]string{r.Root, "cni"}, parts...)...)
}

func mkdir(t *testing.T, paths ...string) {
	t.Helper()
	for _, p := range paths {
		testns.Must(t, os.MkdirAll(p, 0o700))
	}
}

// run returns the findings, which must leave everything below the root as it is.
func (r *rig) run(t *testing.T) []Finding {
	t.Helper()
	before := r.tree(t)
	start := time.Now()
	found := Run(t.Context(), r.Options)
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
	if diff := cmp.Diff(before, r.tree(t)); diff != "" {
		t.Errorf("it changed something (-before +after):\n%s", diff)
	}
	for _, f := range found {
		if f.Status != OK && f.Fix == "" {
			t.Errorf("no fix: %+v", f)
		}
	}
	return found
}

// tree lists everything that there is of the plugin, with modes and owners.
func (r *rig) tree(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, root := range []string{r.Root, r.BinDir, r.ConfDir} {
		err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
			if err != nil {
				return err
			}
			fi, err := d.Info()
			if err == nil {
				all = append(all, fmt.Sprintf("%s %v %d %d", path, fi.Mode(), fi.Sys().(*syscall.Stat_t).Uid, fi.Size()))
			}
			return err
		})
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
	return all
}

// of returns the findings of one check.
func of(found []Finding, name string) (its []Finding) {
	for _, f := range found {
		if f.Check == name {
			its = append(its, f)
		}
	}
	return its
}

// faulty returns those that are not ok.
func faulty(found []Finding) (bad []Finding) {
	for _, f := range found {
		if f.Status != OK {
			bad = append(bad, f)
		}
	}
	return bad
}

// hurry makes it wait less, where that is what is tried.
func (r *rig) hurry() { r.Patience = 200 * time.Millisecond }
