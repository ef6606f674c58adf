package conflist_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/containernetworking/cni/libcni"
	"github.com/google/go-cmp/cmp"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/conflist"
	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// dirWith returns a directory with the files.
func dirWith(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		testns.Must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		testns.Must(t, os.WriteFile(path, []byte(content), 0o644))
	}
	return dir
}

func TestChoose(t *testing.T) {
	network := func(name string) string { return `{"name":"` + name + `","plugins":[{"type":"a"}]}` }
	const single, ours, half = `{"name":"s","type":"a"}`, `{"name":"o","plugins":[{"type":"bpffs"}]}`, `{"name":"h","plu`
	for _, tt := range []struct {
		name, network string
		files         map[string]string
		want          string
		err           error
	}{
		{"nothing", "", nil, "", conflist.ErrNoMain},
		{"only others' files", "", map[string]string{"calico-kubeconfig": "x", "d.conflist/x": "y", ".bpffs-install": half}, "", conflist.ErrNoMain},
		{"the first", "", map[string]string{"20.conflist": network("b"), "10.conflist": network("a")}, "10.conflist", nil},
		{"hidden ones count, as with libcni", "", map[string]string{"20.conflist": network("b"), ".z.conflist": network("a")}, ".z.conflist", nil},
		{"ours alone", "", map[string]string{"10.conflist": ours}, "", conflist.ErrNoMain},
		{"ours alone, and another", "", map[string]string{"10.conflist": ours, "20.conflist": network("b")}, "20.conflist", nil},
		{"half a file first", "", map[string]string{"10.conflist": half, "20.conflist": network("b")}, "", conflist.ErrInvalid},
		{"half a file later", "", map[string]string{"10.conflist": network("a"), "20.conflist": half}, "10.conflist", nil},
		{"a single plugin first", "", map[string]string{"10.conf": single, "20.conflist": network("b")}, "", conflist.ErrSingle},
		{"a list in a single plugin's file", "", map[string]string{"10.conf": network("a")}, "", conflist.ErrInvalid},
		{"by name", "b", map[string]string{"10.conflist": network("a"), "20.conflist": network("b")}, "20.conflist", nil},
		{"by name, beside half a file", "b", map[string]string{"10.conflist": half, "20.conflist": network("b")}, "20.conflist", nil},
		{"by name, perhaps half a file", "h", map[string]string{"10.conflist": half, "20.conflist": network("b")}, "", conflist.ErrInvalid},
		{"by name, a single plugin", "s", map[string]string{"10.json": single, "20.conflist": network("b")}, "", conflist.ErrSingle},
		{"by name, not there", "c", map[string]string{"10.conflist": network("a")}, "", conflist.ErrNoMain},
		{"by name, ours alone", "o", map[string]string{"10.conflist": ours}, "", conflist.ErrNoMain},
		{"plugins in drop-in files only", "", map[string]string{"10.conflist": `{"name":"n"}`}, "", conflist.ErrNoMain},
	} {
		t.Run(tt.name, func(t *testing.T) {
			files, err := conflist.ReadDir(dirWith(t, tt.files))
			testns.Must(t, err)
			got, err := conflist.Choose(files, tt.network)
			if !errors.Is(err, tt.err) || err == nil && filepath.Base(got.Path) != tt.want {
				t.Errorf("got %q, %v, want %q, %v", got.Path, err, tt.want, tt.err)
			}
		})
	}
}

// A name chooses the file that libcni takes for it.
func TestChooseAsLibcni(t *testing.T) {
	dir := dirWith(t, map[string]string{
		"05.conflist": `{"name":"a","cniVersion":"1.0.0","plugins":[{"type":"first"}]}`,
		"10.conflist": `{"name":"b","cniVersion":"1.0.0","plugins":[{"type":"second"}]}`,
		"07.conf":     `{"name":"b","cniVersion":"1.0.0","type":"single"}`,
		"20.conflist": `{"name":"b","cniVersion":"1.0.0","plugins":[{"type":"third"}]}`,
	})
	files, err := conflist.ReadDir(dir)
	testns.Must(t, err)
	got, err := conflist.Choose(files, "b")
	testns.Must(t, err)
	want, err := libcni.LoadNetworkConf(dir, "b")
	if err != nil || got.List.Plugins[0].Type != want.Plugins[0].Network.Type {
		t.Errorf("chose %s, libcni has %v, %v", got.Path, want, err)
	}
}

func TestDropIns(t *testing.T) {
	dir := dirWith(t, map[string]string{
		"10.conflist":  `{"name":"n","cniVersion":"1.0.0","plugins":[{"type":"a"}]}`,
		"n/20.conf":    `{"type":"later"}`,
		"n/10.conf":    `{"type":"bpffs"}`,
		"n/x.conflist": `{"type":"not read"}`,
	})
	files, err := conflist.DropIns(dir, "n")
	testns.Must(t, err)
	got := []string{"a"}
	for _, f := range files {
		got = append(got, f.List.Plugins[0].Type)
	}
	list, err := libcni.LoadNetworkConf(dir, "n")
	testns.Must(t, err)
	var want []string
	for _, p := range list.Plugins {
		want = append(want, p.Network.Type)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the plugins (-libcni +got):\n%s", diff)
	}
	for _, name := range []string{"", ".", "..", "../n", "/n", "n/", "-n"} {
		if files, err := conflist.DropIns(dir, name); err == nil {
			t.Errorf("network %q: %v, want an error", name, files)
		}
	}
}

// Whether drop-in files may be read is said as libcni reads it.
func TestOnlyInlined(t *testing.T) {
	for value, want := range map[string]bool{`true`: true, `false`: false, `"true"`: true, `"TRUE"`: true, `"False"`: false} {
		data := []byte(`{"name":"n","loadOnlyInlinedPlugins":` + value + `,"plugins":[{"type":"a"}]}`)
		list, err := conflist.Parse(data)
		oracle, oerr := libcni.NetworkConfFromBytes(data)
		if err != nil || oerr != nil || list.OnlyInlined != want || oracle.LoadOnlyInlinedPlugins != want {
			t.Errorf("%s: %v, %v, libcni %v, %v, want %v", value, list.OnlyInlined, err, oracle, oerr, want)
		}
	}
	for _, value := range []string{`1`, `"yes"`, `null`} {
		data := []byte(`{"name":"n","loadOnlyInlinedPlugins":` + value + `,"plugins":[{"type":"a"}]}`)
		if _, err := conflist.Parse(data); !errors.Is(err, conflist.ErrInvalid) {
			t.Errorf("%s: %v, want %v", value, err, conflist.ErrInvalid)
		}
	}
}
