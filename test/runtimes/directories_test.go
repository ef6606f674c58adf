package runtimes

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/test/internal/node"
	"github.com/cni-bpffs/cni-bpffs/test/internal/plugintest"
)

// bpffsctl asks containerd where it looks for plugins and networks, and which it
// has loaded.

// TestDirectories16 has Debian's directory of plugins.
func TestDirectories16(t *testing.T) {
	if !onNode(t) {
		return
	}
	testns.Bind(t, cniBin, debPlugin) // in the node's namespace
	asked(t, newContainerd(t, "1.6", cniBin, debPlugin), debPlugin)
}

// TestDirectories24 has two directories of plugins, the first of which is missing.
func TestDirectories24(t *testing.T) {
	if !onNode(t) {
		return
	}
	const list = `bin_dirs = ["` + cniBin + `"]`
	asked(t, newContainerd(t, "2.4", list, `bin_dirs = ["/run/node/none", "`+cniBin+`"]`), cniBin, "/run/node/none")
}

// asked installs, looks and uninstalls without a word of where.
func asked(t *testing.T, rt *containerd, bin string, others ...string) {
	t.Helper()
	works(t, rt.subject(), "bpffsctl install, doctor and uninstall ask where it looks")
	testns.Must(t, os.Remove(cniBin+"/bpffs")) // a link
	rt.network(t, bridgeOnly)
	refused := ctl(t, 2, "install", "--bin-dir", "/run/node/other", "--conf-dir", "/run/node/other", "--cri-socket", socket)
	for _, want := range []string{"reads " + filepath.Dir(bin), "type --bin-dir ", "reads " + confDir, "type --conf-dir " + confDir} {
		if !strings.Contains(refused, want) {
			t.Errorf("install elsewhere: got %q, want %q in it", refused, want)
		}
	}
	says := ctl(t, 0, "install", "--mode", "conflist", "--cri-socket", socket)
	if !strings.Contains(says, " to "+bin+"/bpffs\n") || strings.Contains(says, "assumed") {
		t.Errorf("install: got %q, want the plugin in %s", says, bin)
	}
	ctl(t, 0, "install", "--bin-dir", cniBin, "--conf-dir", "/proc/self/root"+confDir, "--cri-socket", socket) // other names of both
	p := podWith(t, rt, 1)
	if bad := faults(t, 0); len(bad) > 0 {
		t.Errorf("doctor: got %q, want nothing", bad)
	}
	for flag, dir := range map[string]string{"--bin-dir": node.CNIDir, "--conf-dir": t.TempDir()} {
		if bad := faults(t, 1, flag, dir); !strings.Contains(bad["runtime-directories"], "the runtime does not look there") {
			t.Errorf("doctor %s %s: got %q, want that the runtime does not look there", flag, dir, bad)
		}
	}
	p.end(t)
	for _, dir := range others {
		testns.Must(t, os.Mkdir(dir, 0o755))
		mustRun(t, "cp", bin+"/bpffs", dir)
	}
	ctl(t, 0, "uninstall", "--cri-socket", socket)
	for _, dir := range append(others, bin) {
		if _, err := os.Lstat(dir + "/bpffs"); err == nil {
			t.Errorf("uninstalled: got %s/bpffs, want none", dir)
		}
	}
	if now, err := os.ReadFile(confDir + "/10-runtimes.conflist"); err != nil || string(now) != bridgeOnly {
		t.Errorf("the network's file: got %s (%v), want %s", now, err, bridgeOnly)
	}
}

// TestMissingDirectory lets install make the directory of plugins that containerd
// names and does not have. That of networks containerd makes when it starts.
func TestMissingDirectory(t *testing.T) {
	if !onNode(t) {
		return
	}
	rt := newContainerd(t, "2.4", cniBin, "/run/node/new/bin", confDir, "/run/node/net.new")
	works(t, rt.subject(), "bpffsctl install makes the directory of plugins that it names")
	says := ctl(t, 2, "install", "--wait=false", "--cri-socket", socket)
	for _, want := range []string{"created /run/node/new/bin\n", " to /run/node/new/bin/bpffs\n", "/run/node/net.new: ", "no main plugin"} {
		if !strings.Contains(says, want) {
			t.Errorf("install: got %q, want %q in it", says, want)
		}
	}
	testns.Must(t, os.RemoveAll("/run/node/new"))
	ctl(t, 0, "uninstall", "--force", "--cri-socket", socket)
	if _, err := os.Stat("/run/node/new"); err == nil {
		t.Error("uninstall made a directory, want none")
	}
}

// TestLoaded24 asks containerd which network it has loaded.
func TestLoaded24(t *testing.T) {
	if !onNode(t) {
		return
	}
	rt := newContainerd(t, "2.4")
	works(t, rt.subject(), "bpffsctl doctor says what it has loaded: drop-in files, and of cniVersions the newest")
	rt.network(t, bridgeOnly)
	ctl(t, 0, "install", "--mode", "drop-in", "--cri-socket", socket)
	waitFor(t, "containerd to see the file", func() bool { return len(faults(t, -1)) == 0 })
	dropIn := confDir + "/" + network + "/bpffs.conf"
	testns.Must(t, os.Remove(dropIn))
	rt.network(t, bridgeOnly+"\n")
	write(t, dropIn, ours)
	if bad := faults(t, 1); len(bad) != 1 || !strings.Contains(bad["drop-ins"], "has not read it yet") {
		t.Errorf("doctor after a file that it does not notice: got %q, want that", bad)
	}
	mustRun(t, "sh", "-c", "touch "+confDir+"/.bpffs-look && rm "+confDir+"/.bpffs-look")
	waitFor(t, "containerd to look again", func() bool { return len(faults(t, -1)) == 0 })
	testns.Must(t, os.Remove(dropIn))
	rt.network(t, several(`"cniVersions": ["0.4.0", "1.0.0", "1.1.0", "1.2.0"]`))
	if bad := faults(t, 0); len(bad) > 0 {
		t.Errorf("doctor with a list of versions: got %q, want nothing", bad)
	}
	p := podWith(t, rt, 1)
	p.end(t)
}

// TestLoaded16 asks a containerd that knows neither drop-in files nor cniVersions.
func TestLoaded16(t *testing.T) {
	if !onNode(t) {
		return
	}
	rt := newContainerd(t, "1.6")
	works(t, rt.subject(), "bpffsctl doctor says what it has loaded: no drop-in files, and of several versions cniVersion")
	rt.network(t, bridgeOnly)
	dropIn := confDir + "/" + network + "/bpffs.conf"
	write(t, dropIn, ours)
	if bad := faults(t, 1); len(bad) != 1 || !strings.Contains(bad["drop-ins"], "ignores drop-in files") {
		t.Errorf("doctor with a drop-in file: got %q, want that it is ignored", bad)
	}
	testns.Must(t, os.Remove(dropIn))
	rt.network(t, several(`"cniVersions": ["0.4.0", "1.0.0", "1.1.0"]`))
	if bad := faults(t, 1); len(bad) != 1 || !strings.Contains(bad["cni-version"], `does not support cniVersion ""`) {
		t.Errorf("doctor without cniVersion: got %q, want that there is none", bad)
	}
	ctl(t, 0, "install", "--network", network, "--cni-version", "1.0.0", "--cri-socket", socket) // what doctor says
	waitFor(t, "containerd to take it", func() bool { return len(faults(t, -1)) == 0 })
	p := podWith(t, rt, 1)
	p.end(t)
}

// several returns a network with bpffs and this of versions.
func several(keys string) string {
	return strings.Replace(conflist("1.0.0", ours), `"cniVersion": "1.0.0"`, keys, 1)
}

// faults returns what bpffsctl doctor finds by the names of the checks. It wants the
// exit code, unless that is -1.
func faults(t *testing.T, want int, args ...string) map[string]string {
	t.Helper()
	a, err := plugintest.Run(exec.Command(bins+"/bpffsctl", append(args, "doctor", "--json", "--cri-socket", socket)...))
	var report struct {
		Findings []struct{ Check, Status, Detail string }
	}
	if err != nil || json.Unmarshal([]byte(a.Stdout), &report) != nil || want >= 0 && a.Status != want {
		t.Fatalf("bpffsctl doctor %q: got %+v (%v), want exit code %d", args, a, err, want)
	}
	bad := make(map[string]string)
	for _, f := range report.Findings {
		if f.Status != "ok" {
			bad[f.Check] = f.Detail
		}
	}
	return bad
}
