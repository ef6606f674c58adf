package main

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/containernetworking/cni/libcni"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/test/internal/document"
	"github.com/cni-bpffs/cni-bpffs/test/internal/plugintest"
)

const tree = "../.."

func TestMain(m *testing.M) {
	if testns.Inside() {
		main()
		return
	}
	os.Exit(m.Run())
}

func TestDemo(t *testing.T) {
	testns.NeedRoot(t)
	var out strings.Builder
	err := runAll(tree, &out, &out)
	if err != nil || testing.Verbose() {
		t.Log(out.String())
	}
	testns.Must(t, err)
	for _, line := range document.Block(t, filepath.Join(tree, "README.md"), "pktcount show") {
		if !strings.Contains(document.Shape(out.String()), document.Shape(line)) {
			t.Errorf("README.md: got the line %q, want one that the demo prints", line)
		}
	}
}

// On a kernel without tokens the demo says so, and shows the maps.
func TestDemoWithoutTokens(t *testing.T) {
	testns.NeedRoot(t)
	var out strings.Builder
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // the demo is refused what this thread is, and the thread ends
		err := plugintest.WithoutTokens().Refuse()
		if err == nil {
			err = runAll(tree, &out, &out)
		}
		done <- err
	}()
	if err := <-done; err != nil || !strings.Contains(out.String(), "This kernel has no BPF tokens") {
		t.Errorf("the demo: %v; it says\n%s", err, out.String())
	}
}

// The file to drop into a network's directory has the same plugin as the
// configuration that is complete, in the form that libcni wants, and so has what a
// cluster gets. One of its maps is created, so that there is something to look at.
func TestDropIn(t *testing.T) {
	list, err := libcni.NetworkConfFromFile(filepath.Join(tree, "conf/10-bpffs.conflist"))
	testns.Must(t, err)
	raw, err := os.ReadFile(filepath.Join(tree, "conf/bpffs.conf"))
	testns.Must(t, err)
	dropIn, err := libcni.NetworkPluginConfFromBytes(raw)
	testns.Must(t, err)
	want, err := libcni.InjectConf(list.Plugins[len(list.Plugins)-1], map[string]any{"name": list.Name})
	testns.Must(t, err)
	got, err := libcni.InjectConf(dropIn, map[string]any{"name": list.Name})
	testns.Must(t, err)
	if string(got.Bytes) != string(want.Bytes) {
		t.Errorf("conf/bpffs.conf: got %s, want the last plugin of conf/10-bpffs.conflist: %s", got.Bytes, want.Bytes)
	}
	if !strings.Contains(string(raw), `"type": "percpu_array"`) {
		t.Errorf("conf/bpffs.conf: got %s, want a map with a type in it", raw)
	}
	for _, name := range []string{"deploy/base/bpffs.json", "README.md"} {
		text, err := os.ReadFile(filepath.Join(tree, name))
		testns.Must(t, err)
		if !strings.Contains(string(text), string(raw)) {
			t.Errorf("%s: got another configuration, want that of conf/bpffs.conf: %s", name, raw)
		}
	}
}
