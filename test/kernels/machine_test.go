package kernels

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cni-bpffs/cni-bpffs/internal/bpfmount"
	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/test/internal/node"
	"github.com/cni-bpffs/cni-bpffs/test/internal/plugintest"
)

const bpfRoot = "/sys/fs/bpf"

// kernelRelease returns the release of the running kernel, such as 6.1.0-50-amd64.
func kernelRelease(t *testing.T) string {
	t.Helper()
	var name unix.Utsname
	testns.Must(t, unix.Uname(&name))
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

// TestMain runs the tests in namespaces of their own, but for the one that starts
// machines.
func TestMain(m *testing.M) {
	if os.Getenv(namesEnv) != "" {
		os.Exit(m.Run())
	}
	os.Exit(testns.Main(m))
}

// newNode returns the plugin on a node without a bpffs. It must not warn.
func newNode(t *testing.T) plugintest.Plugin {
	t.Helper()
	p := node.New(t, repo)
	if onBPF(t, bpfRoot) {
		t.Fatalf("got a bpffs at %s, want none", bpfRoot)
	}
	return p
}

func onBPF(t *testing.T, path string) bool {
	t.Helper()
	var st unix.Statfs_t
	testns.Must(t, unix.Statfs(path, &st))
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
		t.Errorf("statmount(2) on %s: got %v, want it from %s on", kernelRelease(t), errno, since)
	}
	if !has {
		t.Skipf("%s has no statmount(2), which needs Linux %s: all that TestLook in the library does on it "+
			"goes through mountinfo, and nothing is compared", kernelRelease(t), since)
	}
}

// The map types of docs/maps.md can be created as its examples say, on kernels
// that have them. The others are refused with a message that names the type.
func TestMachineMapTypes(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(repo, "docs/maps.md"))
	testns.Must(t, err)
	p := newNode(t)
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
			t.Run(n[1], func(t *testing.T) { testMapType(t, p, n[1], r[3], version) })
		}
	}
	if types < 28 {
		t.Errorf("types with examples in docs/maps.md: got %d, want at least 28", types)
	}
}

func testMapType(t *testing.T, p plugintest.Plugin, name, example, since string) {
	t.Helper()
	maps := plugintest.Keys{"maps": []any{json.RawMessage(fmt.Sprintf(`{"name": "m_", "type": %q, %s}`, name, example))}}
	if !kernelIs(t, since) {
		p.Fail(t, 106, []string{name}, "ADD", plugintest.Conf(maps))
		t.Skipf("maps of type %s need Linux %s, and ADD says so with error 106", name, since)
	}
	result := p.Succeed(t, "ADD", plugintest.Conf(maps)).Stdout
	for _, verb := range []string{"CHECK", "DEL"} {
		p.Succeed(t, verb, plugintest.Conf(maps, plugintest.Keys{"prevResult": json.RawMessage(result)}))
	}
}

// Where the kernel keeps the name of what the plugin mounts for a pod, DEL finds it
// again. Where it does not, ADD refuses to mount it.
func TestMachinePodVolume(t *testing.T) {
	const since = "5.17"
	keeps, err := bpfmount.KeepsSource()
	testns.Must(t, err)
	if keeps != kernelIs(t, since) {
		t.Errorf("the source of a bpffs on %s is kept: got %v, want it from %s on", kernelRelease(t), keeps, since)
	}
	p := newNode(t)
	const uid = "0a1b-2c"
	volume := filepath.Join("/var/lib/kubelet/pods", uid, "volumes/kubernetes.io~empty-dir/bpffs")
	testns.Must(t, os.MkdirAll(volume, 0o750))
	conf := plugintest.Conf(plugintest.Keys{"podVolume": "bpffs", "maps": []any{
		plugintest.Keys{"name": "stats_", "type": "array", "keySize": 4, "valueSize": 8, "maxEntries": 1, "pod": "rw"},
	}})
	pod := "CNI_ARGS=K8S_POD_NAMESPACE=a;K8S_POD_NAME=b;K8S_POD_UID=" + uid
	if !keeps {
		p.Fail(t, 109, []string{"Linux " + since}, "ADD", conf, pod)
	} else {
		p.Succeed(t, "ADD", conf, pod)
		p.Succeed(t, "DEL", conf, pod)
	}
	left, err := os.ReadDir(volume)
	if err != nil || len(left) > 0 {
		t.Errorf("the volume afterwards: got %v, %v, want nothing in it", left, err)
	}
}

// The network of conf/ works with cnitool and the bridge plugin.
func TestMachineCnitool(t *testing.T) {
	conf, err := os.ReadFile(filepath.Join(repo, "conf/10-bpffs.conflist"))
	testns.Must(t, err)
	newNode(t)
	testns.Must(t, node.Configure("10-bpffs.conflist", conf))
	pod, err := node.NewPod("pod")
	testns.Must(t, err)
	cnitool := func(verb string) string {
		t.Helper()
		out, err := node.Run("cnitool", verb, "bpffs-demo", pod.NetNS)
		testns.Must(t, err)
		return string(out)
	}
	found, err := plugintest.Paths(cnitool("add"))
	if err != nil || len(found) != 2 {
		t.Errorf("paths that add gives: got %q (%v), want two", found, err)
	}
	cnitool("check")
	cnitool("del")
	node.NothingLeft(t, bpfRoot)
}
