package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/containernetworking/cni/libcni"
)

const tree = "../.."

func TestMain(m *testing.M) {
	if slices.Contains(os.Args, inside) {
		main()
		return
	}
	os.Exit(m.Run())
}

func TestDemo(t *testing.T) {
	if os.Geteuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("needs root")
		}
		t.Skip("needs root")
	}
	var out strings.Builder
	err := runInside(tree, &out, &out)
	if err != nil || testing.Verbose() {
		t.Log(out.String())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// The file to drop into a network's directory has the same plugin as the
// configuration that is complete, in the form that libcni wants.
func TestDropIn(t *testing.T) {
	list, err := libcni.NetworkConfFromFile(filepath.Join(tree, "conf/10-bpffs.conflist"))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(tree, "conf/bpffs.conf"))
	if err != nil {
		t.Fatal(err)
	}
	dropIn, err := libcni.NetworkPluginConfFromBytes(raw)
	if err != nil {
		t.Fatal(err)
	}
	want, err := libcni.InjectConf(list.Plugins[len(list.Plugins)-1], map[string]any{"name": list.Name})
	if err != nil {
		t.Fatal(err)
	}
	got, err := libcni.InjectConf(dropIn, map[string]any{"name": list.Name})
	if err != nil {
		t.Fatal(err)
	}
	if string(got.Bytes) != string(want.Bytes) {
		t.Errorf("conf/bpffs.conf: got %s, want the last plugin of conf/10-bpffs.conflist: %s", got.Bytes, want.Bytes)
	}
}
