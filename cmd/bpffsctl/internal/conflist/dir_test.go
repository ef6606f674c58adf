package conflist_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/containernetworking/cni/libcni"
	"github.com/google/go-cmp/cmp"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/conflist"
	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

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
		{"loopback alone", "", map[string]string{"10.conflist": `{"name":"lo","plugins":[{"type":"loopback"}]}`}, "", conflist.ErrNoMain},
		{"loopback alone, in a single plugin's file", "", map[string]string{"10.conf": `{"name":"lo","type":"loopback"}`}, "", conflist.ErrNoMain},
		{"loopback alone, and another", "", map[string]string{"10.conf": `{"name":"lo","type":"loopback"}`, "20.conflist": network("b")}, "20.conflist", nil},
		{"loopback alone, by name", "lo", map[string]string{"10.conflist": `{"name":"lo","plugins":[{"type":"loopback"}]}`}, "", conflist.ErrNoMain},
		{"plugins in drop-in files only", "", map[string]string{"10.conflist": `{"name":"n"}`}, "", conflist.ErrNoMain},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir, err := conflist.Read(testns.Files(t, tt.files))
			testns.Must(t, err)
			got, err := dir.Choose(tt.network, false)
			if !errors.Is(err, tt.err) || err == nil && filepath.Base(got.Path) != tt.want {
				t.Errorf("got %q, %v, want %q, %v", got.Path, err, tt.want, tt.err)
			}
		})
	}
}

// A runtime that passes by what it cannot read takes the next file.
func TestChoosePassesBroken(t *testing.T) {
	const good = `{"name":"b","plugins":[{"type":"a"}]}`
	for name, files := range map[string]map[string]string{
		"half a file":         {"10.conflist": `{"name":"h","plu`, "20.conflist": good},
		"a list without name": {"10.conflist": `{"plugins":[{"type":"a"}]}`, "20.conflist": good},
		"two of them":         {"10.conf": "", "15.conflist": "[]", "20.conflist": good},
	} {
		dir, err := conflist.Read(testns.Files(t, files))
		testns.Must(t, err)
		if got, err := dir.Choose("", true); err != nil || filepath.Base(got.Path) != "20.conflist" {
			t.Errorf("%s: got %q, %v, want 20.conflist", name, got.Path, err)
		}
		if got, err := dir.Choose("", false); !errors.Is(err, conflist.ErrInvalid) {
			t.Errorf("%s, with another runtime: got %q, %v, want %v", name, got.Path, err, conflist.ErrInvalid)
		}
	}
}

// A name chooses the file that libcni takes for it.
func TestChooseAsLibcni(t *testing.T) {
	dir := testns.Files(t, map[string]string{
		"05.conflist": `{"name":"a","cniVersion":"1.0.0","plugins":[{"type":"first"}]}`,
		"10.conflist": `{"name":"b","cniVersion":"1.0.0","plugins":[{"type":"second"}]}`,
		"07.conf":     `{"name":"b","cniVersion":"1.0.0","type":"single"}`,
		"20.conflist": `{"name":"b","cniVersion":"1.0.0","plugins":[{"type":"third"}]}`,
	})
	all, err := conflist.Read(dir)
	testns.Must(t, err)
	got, err := all.Choose("b", false)
	testns.Must(t, err)
	want, err := libcni.LoadNetworkConf(dir, "b")
	if err != nil || got.List.Plugins[0].Type != want.Plugins[0].Network.Type {
		t.Errorf("chose %s, libcni has %v, %v", got.Path, want, err)
	}
}

func TestDropIns(t *testing.T) {
	dir := testns.Files(t, map[string]string{
		"10.conflist":  `{"name":"n","cniVersion":"1.0.0","plugins":[{"type":"a"}]}`,
		"n/20.conf":    `{"type":"later"}`,
		"n/10.conf":    `{"type":"bpffs"}`,
		"n/x.conflist": `{"type":"not read"}`,
	})
	all, err := conflist.Read(dir)
	testns.Must(t, err)
	var got []string
	for _, p := range all.Networks[0].Plugins().Plugins {
		got = append(got, p.Type)
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
	for _, name := range []string{".", "..", "../n", "/n", "n/", "-n"} {
		all, err := conflist.Read(testns.Files(t, map[string]string{"10.conflist": `{"name":"` + name + `","plugins":[{"type":"a"}]}`, "x.conf": "{"}))
		if err != nil || all.Networks[0].DropIns != nil {
			t.Errorf("network %q: %+v, %v, want no drop-in files", name, all, err)
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

// What is called like a drop-in file and cannot be read is there, with what is wrong.
func TestUnreadableDropIns(t *testing.T) {
	for _, tt := range []struct {
		name    string
		make    func(path string) error
		unclear bool
	}{
		{"half a file", func(path string) error { return os.WriteFile(path, []byte(`{"type":"bpffs",`), 0o644) }, true},
		{"empty", func(path string) error { return os.WriteFile(path, nil, 0o644) }, true},
		{"a link to a directory", func(path string) error { return os.Symlink("..", path) }, true},
		{"a pipe", func(path string) error { return syscall.Mkfifo(path, 0o644) }, true},
		{"a link to nothing", func(path string) error { return os.Symlink("none", path) }, true},
		{"a loop of links", func(path string) error { return os.Symlink("bpffs.conf", path) }, true},
		{"no plugin, but JSON", func(path string) error { return os.WriteFile(path, []byte(`{"log":"debug"}`), 0o644) }, false},
	} {
		dir := testns.Files(t, map[string]string{"n/x": ""})
		testns.Must(t, tt.make(filepath.Join(dir, "n/bpffs.conf")))
		all, err := conflist.Read(dir)
		testns.Must(t, err)
		files := all.Others[0].DropIns
		if len(files) != 1 || files[0].Err == nil || files[0].Unclear() != tt.unclear {
			t.Errorf("%s: got %+v, want one file that cannot be used, unclear %v", tt.name, files, tt.unclear)
		}
	}
}

// A directory that is called like a drop-in file is none, as for libcni.
func TestDirectoryLikeADropIn(t *testing.T) {
	dir := testns.Files(t, map[string]string{"n/a.conf/x": "", "n/bpffs.conf/x": "{", "n/c.conf": `{"type":"c"}`, "10.conflist": `{"name":"n","plugins":[{"type":"a"}]}`})
	all, err := conflist.Read(dir)
	testns.Must(t, err)
	if got := all.Networks[0].DropIns; len(got) != 1 || got[0].Path != dir+"/n/c.conf" || len(all.Networks[0].Broken()) > 0 {
		t.Errorf("got %+v, want only c.conf", got)
	}
}

// The directories of networks are found through links, too; what is none is absent.
func TestDirectories(t *testing.T) {
	dir := testns.Files(t, map[string]string{"b/x": "", "file": "", "10.conflist": `{"name":"file","plugins":[{"type":"a"}]}`, ".hidden/x": ""})
	elsewhere := testns.Files(t, map[string]string{"a.conf": `{"type":"bpffs"}`})
	testns.Must(t, os.Symlink(elsewhere, filepath.Join(dir, "a")))
	testns.Must(t, os.Symlink("none", filepath.Join(dir, "dangling")))
	testns.Must(t, os.Symlink("loop", filepath.Join(dir, "loop")))
	all, err := conflist.Read(dir)
	testns.Must(t, err)
	var got []string
	for _, n := range all.Others {
		got = append(got, n.List.Name)
	}
	if diff := cmp.Diff([]string{"a", "b"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, ours := all.Others[0].Plugins().Ours(); !ours || all.Networks[0].DropInsErr != nil {
		t.Errorf("got %+v, want ours through the link, and no error of a file where the directory would be", all)
	}
	for _, absent := range []string{dir + "/none", dir + "/file", dir + "/file/none"} {
		if all, err := conflist.Read(absent); err != nil || len(all.All()) > 0 {
			t.Errorf("%s: got %+v, %v, want nothing", absent, all, err)
		}
	}
}

// The auxiliary chain of OpenShift is known, and those that Multus is told of here.
func TestChains(t *testing.T) {
	for name, tt := range map[string]struct {
		files map[string]string
		want  []string
	}{
		"nothing":            {map[string]string{}, []string{"vendor-cni-chain"}},
		"Multus, one plugin": {map[string]string{"00.conf": `{"name":"m","type":"multus-shim","auxiliaryCNIChainName":"more"}`}, []string{"vendor-cni-chain", "more"}},
		"Multus, in a list":  {map[string]string{"00.conflist": `{"name":"m","plugins":[{"type":"multus","auxiliaryCNIChainName":"more"}]}`}, []string{"vendor-cni-chain", "more"}},
		"a network of that name": {map[string]string{
			"00.conf":     `{"name":"m","type":"multus","auxiliaryCNIChainName":"more"}`,
			"10.conflist": `{"name":"vendor-cni-chain","plugins":[{"type":"a"}]}`,
		}, []string{"more"}},
	} {
		for _, chain := range []string{"vendor-cni-chain", "more"} {
			tt.files[chain+"/x.conf"] = `{"type":"a"}`
		}
		all, err := conflist.Read(testns.Files(t, tt.files))
		testns.Must(t, err)
		var got []string
		for _, c := range all.Chains {
			got = append(got, c.List.Name)
		}
		slices.Sort(got)
		slices.Sort(tt.want)
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		for _, chain := range tt.want {
			if n, err := all.Choose(chain, false); err != nil || n.Path != "" || n.List.Name != chain {
				t.Errorf("%s: Choose(%q): got %+v, %v, want the chain", name, chain, n, err)
			}
		}
	}
}
