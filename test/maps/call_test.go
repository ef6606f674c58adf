package maps

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
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
	verb   string
	config keys
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
	stdin, err := json.Marshal(c.config)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(plugin)
	cmd.Stdin = bytes.NewReader(stdin)
	cmd.Env = []string{
		"CNI_COMMAND=" + c.verb, "CNI_PATH=" + binDir, "CNI_NETNS=/run/netns/none",
		"CNI_CONTAINERID=c1", "CNI_IFNAME=eth0",
	}
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
		t.Fatalf("%s: exit status %d: %s%s", c.verb, a.exit, a.stdout, a.stderr)
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

// emptyNode returns to a node without a bpffs, now and after the test.
func emptyNode(t testing.TB) {
	t.Helper()
	testns.UnmountAll(t, root)
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

// digits returns an endpoint ID as names have it.
func digits(id uint16) string { return fmt.Sprintf("%05d", id) }

// oneMap declares a single map with these keys.
func oneMap(m keys) keys { return keys{"maps": []any{m}} }

// typed declares a map that ADD creates.
func typed() keys {
	return oneMap(keys{"name": "stats_", "type": "array", "keySize": 4, "valueSize": 16, "maxEntries": 2})
}

// raw is a result as part of a configuration.
func raw(result string) json.RawMessage { return json.RawMessage(result) }

// withResult puts the result of ADD into a configuration, as runtimes do.
func withResult(c keys, result string) keys {
	return newConfig(c, keys{"prevResult": raw(result)})
}

// left is what remains of an empty bpffs once an ADD and its DEL have been.
func left() []string {
	return []string{
		"d--------- /cni", "d--------- /cni/attachments", "d--------- /cni/endpoints",
		"d--------- /cni/layout-1", "d--------- /tc", "d--------- /tc/globals",
	}
}
