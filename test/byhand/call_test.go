package byhand

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

// keys is a network configuration, or changes to one; nil removes a key.
type keys map[string]any

// newConfig returns a configuration that ADD takes, with the changes.
func newConfig(changes ...keys) keys {
	c := keys{
		"cniVersion": "1.1.0", "name": "net", "type": "bpffs",
		"maps":       []any{keys{"name": "policy_"}, keys{"name": "calls_"}},
		"prevResult": keys{"cniVersion": "1.1.0", "interfaces": []any{keys{"name": "veth0"}}},
	}
	for _, change := range changes {
		maps.Copy(c, change)
	}
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return c
}

// A call is one call of the plugin by hand.
type call struct {
	verb, container, ifName string
	netns                   string // empty: one that is not the plugin's own
	config                  keys
	stdin                   string // instead of config
	env                     []string
}

// An answer is what came of it.
type answer struct {
	stdout, stderr string
	exit           int
}

// cniError is an error in the form of the CNI specification.
type cniError struct {
	CNIVersion string `json:"cniVersion"`
	Code       uint   `json:"code"`
	Msg        string `json:"msg"`
}

func (c call) command(t testing.TB) *exec.Cmd {
	t.Helper()
	stdin := []byte(c.stdin)
	if c.config != nil {
		var err error
		if stdin, err = json.Marshal(c.config); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(plugin)
	cmd.Stdin = bytes.NewReader(stdin)
	cmd.Env = append([]string{
		"CNI_COMMAND=" + c.verb, "CNI_PATH=" + binDir, "CNI_NETNS=" + either(c.netns, "/run/netns/none"),
		"CNI_CONTAINERID=" + either(c.container, "c1"), "CNI_IFNAME=" + either(c.ifName, "eth0"),
	}, c.env...)
	return cmd
}

func (c call) run(t testing.TB) answer {
	t.Helper()
	testns.Need(t)
	cmd := c.command(t)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return answer{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// must runs the call and returns what it printed; anything but success ends the
// test.
func (c call) must(t testing.TB) answer {
	t.Helper()
	a := c.run(t)
	if a.exit != 0 {
		t.Fatalf("%s of %s: exit status %d: %s%s", c.verb, c.container, a.exit, a.stdout, a.stderr)
	}
	return a
}

// refused runs the call and compares the code of its error.
func (c call) refused(t testing.TB, code uint) cniError {
	t.Helper()
	a := c.run(t)
	var e cniError
	if err := json.Unmarshal([]byte(a.stdout), &e); err != nil || a.exit != 1 || e.Code != code || e.Msg == "" {
		t.Errorf("%s: got exit status %d and %s, want exit status 1 and a CNI error with code %d (%v)",
			c.verb, a.exit, a.stdout, code, err)
	}
	return e
}

// localMaps returns the local maps in a result.
func localMaps(t testing.TB, a answer) []bpffs.LocalMap {
	t.Helper()
	found, err := bpffs.LocalMaps([]byte(a.stdout))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func either(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// emptyNode returns to a node on which no bpffs is mounted where the plugin
// looks, now and after the test.
func emptyNode(t testing.TB) {
	t.Helper()
	testns.UnmountAll(t, root)
	testns.UnmountAll(t, bpffs.DefaultFallback)
}

// tree returns the paths below dir, with their kinds, sorted; nothing if dir is
// missing. The two iterators that the kernel puts into every bpffs are left out.
func tree(t testing.TB, dir string) []string {
	t.Helper()
	found := []string{}
	err := filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err != nil || p == dir || strings.HasSuffix(p, ".debug") {
			return err
		}
		found = append(found, d.Type().String()+" "+strings.TrimPrefix(p, dir))
		return nil
	})
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return found
}

// mountTable returns the mount table of this namespace.
func mountTable(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// bpfMounts returns how many bpffs the mount table has.
func bpfMounts(t testing.TB) int {
	t.Helper()
	return strings.Count(mountTable(t), " - bpf ")
}

// mkdir makes a directory at each path, for a pin of somebody else.
func mkdir(t testing.TB, paths ...string) {
	t.Helper()
	for _, p := range paths {
		if err := os.MkdirAll(p, 0o700); err != nil {
			t.Fatal(err)
		}
	}
}

// there reports whether something is at the path.
func there(t testing.TB, p string) bool {
	t.Helper()
	var st syscall.Stat_t
	err := syscall.Lstat(p, &st)
	if err != nil && !errors.Is(err, syscall.ENOENT) {
		t.Fatal(err)
	}
	return err == nil
}
