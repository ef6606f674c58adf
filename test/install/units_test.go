package install

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/test/internal/plugintest"
)

const units = "../../deploy/systemd"

// mountNamespaced are the settings of systemd.exec(5) that give a unit a mount namespace
// of its own, in which the plugin's mounts may be others.
const mountNamespaced = `^(Private(Mounts|Tmp|Devices|IPC|Users)|Protect\w+|Read(Write|Only)Paths|InaccessiblePaths|ExecPaths|NoExecPaths|` +
	`TemporaryFileSystem|Bind(ReadOnly)?Paths|Root\w+|Mount\w+|DynamicUser|(Runtime|State|Cache|Logs)Directory|LoadCredential\w*|SetCredential\w*)$`

// TestUnits lets systemd verify the units, with the built program in the place of the
// installed one.
func TestUnits(t *testing.T) {
	verify, err := exec.LookPath("systemd-analyze")
	if err != nil && os.Getenv("CI") == "" {
		t.Skip(err)
	}
	testns.Must(t, err)
	self, err := filepath.Abs(program)
	testns.Must(t, err)
	found, err := filepath.Glob(units + "/*.*")
	if err != nil || len(found) != 3 {
		t.Fatalf("units: got %q, %v, want 3", found, err)
	}
	dir := t.TempDir()
	args := []string{"verify"}
	for _, path := range found {
		text := strings.ReplaceAll(string(contents(t, path)), "/usr/local/sbin/bpffsctl", self)
		copied := filepath.Join(dir, filepath.Base(path))
		testns.Must(t, os.WriteFile(copied, []byte(text), 0o644))
		args = append(args, copied)
		for key := range settings(text) {
			if regexp.MustCompile(mountNamespaced).MatchString(key) {
				t.Errorf("%s: %s gives it a mount namespace of its own", path, key)
			}
		}
	}
	if out, err := exec.Command(verify, args...).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze: got %v: %s, want nothing", err, out)
	}
}

// settings returns the values of a unit by their keys.
func settings(text string) map[string]string {
	all := make(map[string]string)
	for _, match := range regexp.MustCompile(`(?m)^(\w+)=(.*)$`).FindAllStringSubmatch(text, -1) {
		all[match[1]] = match[2]
	}
	return all
}

// TestUnitsCapabilities runs what the units run with the capabilities that they keep: it
// installs, and releases the endpoint of a pod that saw its map in a volume.
func TestUnitsCapabilities(t *testing.T) {
	n := newNode(t, map[string]string{"10.conflist": list("net", "bridge")})
	n.lower("bpffs-install.service", "install", "--wait=false", "--mode", "conflist", "--from", plugin, "--bin-dir", n.bin, "--conf-dir", n.conf)
	n.calls("net", "bridge bpffs")
	root := testns.BPFFS(t)
	volume := n.withVolume(root)
	n.lower("bpffsctl-gc.service", "gc", "--yes", "--root", root, "--live-from", "/dev/null",
		"--allow-empty", "--network", "net", "--older-than", "0s", "--force", "--conf-dir", n.conf)
	for _, pattern := range []string{root + "/tc/globals/*", root + "/cni/endpoints/*", volume + "/*"} {
		if left, err := filepath.Glob(pattern); err != nil || len(left) > 0 {
			t.Errorf("left: got %q, %v, want nothing", left, err)
		}
	}
}

// lower wants the command to end with 0 when it has no capabilities but those of the
// unit, and can get no others.
func (n *node) lower(unit string, args ...string) {
	n.Helper()
	keep := strings.Fields(settings(string(contents(n, units+"/"+unit)))["CapabilityBoundingSet"])
	for i, name := range keep {
		keep[i] = "+" + strings.ToLower(strings.TrimPrefix(name, "CAP_"))
	}
	set := strings.Join(append([]string{"-all"}, keep...), ",")
	a, err := plugintest.Run(exec.Command("setpriv", append([]string{"--no-new-privs", "--bounding-set", set, "--", program}, args...)...))
	if err != nil || a.Status != 0 {
		n.Fatalf("%q with %s: got %+v, %v, want success", args, set, a, err)
	}
}
