package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

func TestMain(m *testing.M) {
	testns.Act(map[string]func(stdout io.Writer) error{
		"hold records": holdRecords,
		"hold lock":    holdLock,
		"doctor":       runElsewhere,
		"runtime":      beRuntime,
	})
	os.Exit(withCommands(func() int { return testns.Main(m) }))
}

// version is that of the commands that the tests type.
const version = "v1.2.3"

// withCommands builds bpffsctl and the plugin, so that cures can be typed as they
// are printed, and calls run with them in the path.
func withCommands(run func() int) int {
	if testns.Inside() {
		return run()
	}
	dir, err := os.MkdirTemp("", "doctor")
	if err == nil {
		err = errors.Join(build("../..", ".", filepath.Join(dir, "bpffsctl"), version),
			build("../../../..", "./plugins/bpffs", filepath.Join(dir, "bpffs"), version),
			os.Setenv("PATH", dir+":"+os.Getenv("PATH")))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	return run()
}

// build builds a package of a module as a version.
func build(module, pkg, to, version string) error {
	cmd := exec.Command("go", "build", "-C", module, "-buildvcs=false", "-ldflags", "-X main.buildVersion="+version, "-o", to, pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building %s: %w: %s", pkg, err, out)
	}
	return nil
}

// The environment tells other processes of a test where to do their part.
const (
	envPath   = "BPFFS_TEST_PATH"
	envSocket = "BPFFS_TEST_SOCKET"
)

// holdRecords keeps the records below a root open until it is killed.
func holdRecords(stdout io.Writer) error {
	dir, err := bpffs.NewMapDir(os.Getenv(envPath), "")
	if err != nil {
		return err
	}
	e, err := bpffs.CreateEndpoints(context.Background(), dir)
	if err != nil {
		return err
	}
	defer e.Close()
	fmt.Fprintln(stdout, "open")
	testns.Await()
	return nil
}

// holdLock keeps a directory locked until it is killed.
func holdLock(stdout io.Writer) error {
	f, err := os.Open(os.Getenv(envPath))
	if err != nil {
		return err
	}
	defer f.Close()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return err
	}
	fmt.Fprintln(stdout, "locked")
	testns.Await()
	return nil
}

// rig is a healthy node: a shared bpffs with one pod, whose map is pinned.
type rig struct {
	Options

	t           *testing.T
	id          uint16
	pod         bpffs.Attachment
	netns       string
	cri         *aRuntime
	stopRuntime func()
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, Options: Options{Root: testns.BPFFS(t), Version: version, Patience: 5 * time.Second}}
	r.share(t, r.Root)
	r.install(t)
	r.startRuntime()
	r.pod = bpffs.Attachment{Network: "net", ContainerID: "c1", IfName: "eth0"}
	r.netns = filepath.Join(t.TempDir(), "netns")
	if err := os.WriteFile(r.netns, nil, 0o600); err != nil {
		t.Fatal(err)
	}
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
	if err != nil {
		t.Fatal(err)
	}
	built, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(r.BinDir, "bpffs"), built, 0o755); err != nil {
		t.Fatal(err)
	}
}

// write writes a file of the directory of networks.
func (r *rig) write(t *testing.T, name, content string) {
	t.Helper()
	path := filepath.Join(r.ConfDir, name)
	mkdir(t, filepath.Dir(path))
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
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
	if err := syscall.Mount("", path, "", syscall.MS_SHARED, ""); err != nil {
		t.Fatal(err)
	}
}

func (r *rig) dir(t *testing.T) bpffs.MapDir {
	t.Helper()
	dir, err := bpffs.NewMapDir(r.Root, "")
	if err != nil {
		t.Fatal(err)
	}
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
	e, err := bpffs.CreateEndpoints(t.Context(), r.dir(t))
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	id, _, err := e.Allocate(a, names...)
	if err == nil {
		err = e.Describe(id, bpffs.Details{Pod: "my-ns/web-0", NetNS: r.netns})
	}
	if err != nil {
		t.Fatal(err)
	}
	r.pin(t, bpffs.LocalMapName(names[0], id))
	return id
}

// del does what a DEL of the attachment does.
func (r *rig) del(t *testing.T, a bpffs.Attachment) {
	t.Helper()
	e, err := bpffs.OpenEndpoints(t.Context(), r.dir(t))
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if err := e.Release(a); err != nil {
		t.Fatal(err)
	}
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
		if err := os.MkdirAll(p, 0o700); err != nil {
			t.Fatal(err)
		}
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
		if f.Status != OK && f.Cure == "" {
			t.Errorf("no cure: %+v", f)
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

// A fault is made for real; then the check must say so and its cure mend it.
type fault struct {
	name   string
	make   func(r *rig)
	check  string
	status Status
	says   string       // a part of the detail
	cure   string       // a part of the cure; ROOT, MAPS, ID, BIN, NETS and SOCKET stand for those of the node
	mend   func(r *rig) // nil: type what cure is
}

func (f fault) test(t *testing.T) {
	t.Helper()
	r := newRig(t)
	if bad := faulty(r.run(t)); len(bad) > 0 {
		t.Fatalf("before the fault: %+v", bad)
	}
	f.make(r)
	names := strings.NewReplacer("ROOT", r.Root, "BIN", r.BinDir, "NETS", r.ConfDir, "SOCKET", r.CRISocket, "MAPS", r.dir(t).Path(), "ID", fmt.Sprintf("%05d", r.id))
	says, cure := names.Replace(f.says), names.Replace(f.cure)
	found := faulty(of(r.run(t), f.check))
	if len(found) == 0 {
		t.Fatalf("%s finds nothing wrong", f.check)
	}
	if got := found[0]; got.Status != f.status || !strings.Contains(got.Detail, says) || !strings.Contains(got.Cure, cure) {
		t.Errorf("%s: got %+v\nwanted %s, a detail with %q and a cure with %q", f.check, got, f.status, says, cure)
	}
	if f.mend != nil {
		f.mend(r)
	} else {
		typed(t, cure)
	}
	if bad := faulty(of(r.run(t), f.check)); len(bad) > 0 {
		t.Errorf("%s after the cure: %+v", f.check, bad)
	}
}

// typed runs a line as a person would at a prompt.
func typed(t *testing.T, line string) {
	t.Helper()
	shell(t, line)
}

func shell(t *testing.T, line string) string {
	t.Helper()
	out, err := exec.Command("sh", "-c", line).CombinedOutput()
	if err != nil {
		t.Errorf("%s: %v: %s", line, err, out)
	}
	return string(out)
}
