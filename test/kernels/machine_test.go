package kernels

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	types100 "github.com/containernetworking/cni/pkg/types/100"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

const bpfRoot = "/sys/fs/bpf"

// kernelRelease returns the release of the running kernel, such as 6.1.0-50-amd64.
func kernelRelease(t *testing.T) string {
	t.Helper()
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		t.Fatal(err)
	}
	return unix.ByteSliceToString(name.Release[:])
}

// kernelIs reports whether the running kernel is of a version, such as 6.8, or newer.
func kernelIs(t *testing.T, version string) bool {
	t.Helper()
	var major, minor, wantMajor, wantMinor int
	release := kernelRelease(t)
	if _, err := fmt.Sscanf(release, "%d.%d", &major, &minor); err != nil {
		t.Fatalf("kernel release %q: %v", release, err)
	}
	if _, err := fmt.Sscanf(version, "%d.%d", &wantMajor, &wantMinor); err != nil {
		t.Fatalf("kernel version %q: %v", version, err)
	}
	return major > wantMajor || major == wantMajor && minor >= wantMinor
}

// TestMain runs the tests that change a machine in namespaces of their own,
// unless the machine is there for nothing else.
func TestMain(m *testing.M) {
	if os.Getenv(MachineEnv) != "" || os.Getenv(dirEnv) != "" {
		os.Exit(m.Run())
	}
	os.Exit(testns.Main(m, hideState))
}

// hideState hides what the host has where plugins and libcni write.
func hideState() error {
	for _, dir := range []string{"/run", "/var/lib"} {
		if err := unix.Mount("tmpfs", dir, "tmpfs", 0, ""); err != nil {
			return &os.PathError{Op: "mount", Path: dir, Err: err}
		}
	}
	return nil
}

// emptyNode takes a bpffs away that an earlier test left.
func emptyNode(t *testing.T) {
	t.Helper()
	if os.Getenv(MachineEnv) == "" {
		testns.Need(t)
	}
	for unix.Unmount(bpfRoot, 0) == nil {
	}
	if onBPF(t, bpfRoot) {
		t.Fatalf("cannot unmount %s", bpfRoot)
	}
}

func onBPF(t *testing.T, path string) bool {
	t.Helper()
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		t.Fatal(err)
	}
	return st.Type == unix.BPF_FS_MAGIC
}

// Where the kernel has statmount(2), the library's tests take both ways of
// looking at a mount point and compare them. A kernel as it is built may have it
// earlier or later than the documentation says.
func TestMachineStatmount(t *testing.T) {
	const since = "6.8"
	_, _, errno := unix.Syscall6(unix.SYS_STATMOUNT, 0, 0, 0, 0, 0, 0)
	has := errno != unix.ENOSYS
	if has != kernelIs(t, since) {
		t.Errorf("statmount(2) on %s, which should have it from %s on: %v", kernelRelease(t), since, errno)
	}
	if !has {
		t.Skipf("%s has no statmount(2), which needs Linux %s: all that TestLook in the library does on it "+
			"goes through mountinfo, and nothing is compared", kernelRelease(t), since)
	}
}

// call starts the plugin and returns what it printed.
func call(t *testing.T, verb string, conf map[string]any) ([]byte, error) {
	t.Helper()
	full := map[string]any{"cniVersion": "1.1.0", "name": "net", "type": "bpffs"}
	maps.Copy(full, conf)
	stdin, err := json.Marshal(full)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(repo, "bin/bpffs"))
	cmd.Env = []string{
		"CNI_COMMAND=" + verb, "CNI_CONTAINERID=ctr", "CNI_NETNS=/run/netns/none", "CNI_IFNAME=eth0", "CNI_PATH=/",
	}
	cmd.Stdin = bytes.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	if stderr.Len() > 0 {
		t.Errorf("%s warns: %s", verb, &stderr)
	}
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		err = fmt.Errorf("%w: %s", err, &stdout)
	}
	return stdout.Bytes(), err
}

// paths returns the absolute paths in the result of ADD.
func paths(t *testing.T, result []byte) []string {
	t.Helper()
	var r types100.Result
	if err := json.Unmarshal(result, &r); err != nil {
		t.Fatalf("%s: %v", result, err)
	}
	var found []string
	for _, i := range r.Interfaces {
		if filepath.IsAbs(i.Name) {
			found = append(found, i.Name)
		}
	}
	return found
}

// The binary does all its verbs on a machine whose bpffs nobody has mounted.
func TestMachineVerbs(t *testing.T) {
	emptyNode(t)
	conf := map[string]any{
		"maps":       []any{map[string]any{"name": "m_", "type": "hash", "keySize": 4, "valueSize": 8, "maxEntries": 16}},
		"prevResult": map[string]any{"cniVersion": "1.1.0"},
	}
	ok := func(verb string) []byte {
		t.Helper()
		out, err := call(t, verb, conf)
		if err != nil {
			t.Fatalf("%s: %v", verb, err)
		}
		return out
	}
	ok("VERSION")
	ok("STATUS")
	if onBPF(t, bpfRoot) {
		t.Error("STATUS has mounted a bpffs")
	}
	result := ok("ADD")
	found := paths(t, result)
	if len(found) != 1 || !onBPF(t, found[0]) {
		t.Fatalf("ADD gives the paths %q, wanted one on a bpffs", found)
	}
	conf["prevResult"] = json.RawMessage(result)
	ok("CHECK")
	conf["cni.dev/valid-attachments"] = []any{map[string]any{"containerID": "ctr", "ifname": "eth0"}}
	ok("GC")
	ok("CHECK")
	ok("STATUS")
	for range 2 {
		ok("DEL")
	}
	if _, err := os.Lstat(found[0]); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after DEL: %s: %v", found[0], err)
	}
	if _, err := call(t, "CHECK", conf); err == nil {
		t.Error("CHECK after DEL succeeds")
	}
}

// The map types of docs/maps.md can be created as its examples say, on kernels
// that have them. The others are refused with a message that names the type.
func TestMachineMapTypes(t *testing.T) {
	emptyNode(t)
	text, err := os.ReadFile(filepath.Join(repo, "docs/maps.md"))
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile("(?m)^\\| (`.*`) \\| (.*) \\| .* \\| `(.*)` \\|$")
	name := regexp.MustCompile("`([a-z_]+)`")
	since := regexp.MustCompile(`\((\d+\.\d+)\)`)
	types := 0
	for _, r := range row.FindAllStringSubmatch(string(text), -1) {
		version := "5.7"
		if v := since.FindStringSubmatch(r[2]); v != nil {
			version = v[1]
		}
		for _, n := range name.FindAllStringSubmatch(r[1], -1) {
			types++
			t.Run(n[1], func(t *testing.T) { testMapType(t, n[1], r[3], version) })
		}
	}
	if types < 28 {
		t.Errorf("docs/maps.md has examples of %d types, wanted at least 28", types)
	}
}

func testMapType(t *testing.T, name, example, since string) {
	t.Helper()
	decl := json.RawMessage(fmt.Sprintf(`{"name": "m_", "type": %q, %s}`, name, example))
	conf := map[string]any{"maps": []any{decl}, "prevResult": map[string]any{"cniVersion": "1.1.0"}}
	result, err := call(t, "ADD", conf)
	if !kernelIs(t, since) {
		if err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), `"code":106`) {
			t.Errorf("ADD: %v, wanted error 106 that names the type", err)
		}
		t.Skipf("maps of type %s need Linux %s, and ADD says so with error 106", name, since)
	}
	if err != nil {
		t.Fatal(err)
	}
	conf["prevResult"] = json.RawMessage(result)
	for _, verb := range []string{"CHECK", "DEL"} {
		if _, err := call(t, verb, conf); err != nil {
			t.Errorf("%s: %v", verb, err)
		}
	}
}

// The network of conf/ works with cnitool and the bridge plugin.
func TestMachineCnitool(t *testing.T) {
	emptyNode(t)
	runtime.LockOSThread() // never unlocked: it ends in the pod's namespace
	own, err := netns.Get()
	if err != nil {
		t.Fatal(err)
	}
	pod, err := netns.NewNamed("pod")
	if err != nil {
		t.Fatal(err)
	}
	defer netns.DeleteNamed("pod")
	defer pod.Close()
	if err := netns.Set(own); err != nil {
		t.Fatal(err)
	}
	cnitool := func(verb string) []byte {
		t.Helper()
		cmd := exec.Command(filepath.Join(repo, "bin/cni/cnitool"), verb, "bpffs-demo", "/run/netns/pod")
		cmd.Env = []string{"NETCONFPATH=" + filepath.Join(repo, "conf"), "CNI_PATH=" + filepath.Join(repo, "bin/cni")}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("cnitool %s: %v\n%s", verb, err, out)
		}
		return out
	}
	found := paths(t, cnitool("add"))
	if len(found) != 2 {
		t.Errorf("add gives the paths %q, wanted two", found)
	}
	cnitool("check")
	cnitool("del")
	records, err := os.ReadDir(filepath.Join(bpfRoot, "cni/endpoints"))
	if err != nil || len(records) > 0 {
		t.Errorf("after del: records %v, error %v", records, err)
	}
}
