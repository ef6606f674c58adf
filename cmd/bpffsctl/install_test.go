package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/cri"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/testcri"
	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// builtPlugin returns the plugin.
func builtPlugin(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "bpffs")
	build := exec.Command("go", "build", "-C", "../..", "-buildvcs=false", "-o", path, "./plugins/bpffs")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return path
}

// What install does depends on the runtime only where the network has no bpffs yet, and
// it writes no drop-in file for a runtime that does not serve it.
func TestInstallOnRuntimes(t *testing.T) {
	const (
		bare    = `{"cniVersion":"1.0.0","name":"net","plugins":[{"type":"bridge"},{"type":"datapath"}]}`
		inlined = `{"cniVersion":"1.0.0","name":"net","plugins":[{"type":"bridge"},{"type":"bpffs"},{"type":"datapath"}]}`
		dropIn  = "{\n  \"type\": \"bpffs\"\n}\n"
		old     = `{"cniVersions":["0.4.0","1.0.0"],"name":"net","plugins":[{"type":"bridge"}]}`
	)
	newest, ignores, crio := cri.Version{}, cri.Version{Version: "v1.7.27"}, cri.Version{Runtime: "cri-o", Version: "1.37.0"}
	type files map[string]string
	from := builtPlugin(t)
	for _, tt := range []struct {
		name    string
		runtime cri.Version
		have    files
		more    string
		code    int
		says    string
		want    files // nil: what there was
	}{
		{"a new network, drop-in", newest, files{"10.conflist": bare}, "", 0, "wrote", files{"10.conflist": bare, "net/bpffs.conf": dropIn, "net/.bpffs-made": ""}},
		{"a new network, drop-ins ignored", ignores, files{"10.conflist": bare}, "", 0, "changed", files{"10.conflist": inlined}},
		{"a new network, CRI-O", crio, files{"10.conflist": bare}, "", 0, "changed", files{"10.conflist": inlined}},
		{"inlined stays", newest, files{"10.conflist": inlined}, "", 0, "", nil},
		{"inlined is not moved", newest, files{"10.conflist": inlined}, "--mode drop-in", 2, "--lose-paths", nil},
		{"a drop-in stays", newest, files{"10.conflist": bare, "net/bpffs.conf": dropIn}, "", 0, "", nil},
		{"a drop-in that is ignored", ignores, files{"10.conflist": bare, "net/bpffs.conf": dropIn}, "", 2, "--mode conflist", nil},
		{"a drop-in that gets no DEL", crio, files{"10.conflist": bare, "net/bpffs.conf": dropIn}, "", 2, "--mode conflist", nil},
		{"a drop-in for CRI-O", crio, files{"10.conflist": bare}, "--mode drop-in", 2, "not for DEL", nil},
		{"a chain of Multus on CRI-O", crio, files{"10.conf": `{"cniVersion":"0.3.1","name":"ovn","type":"ovn-k8s-cni-overlay"}`}, "--network vendor-cni-chain --mode drop-in", 0, "wrote", files{
			"10.conf": `{"cniVersion":"0.3.1","name":"ovn","type":"ovn-k8s-cni-overlay"}`, "vendor-cni-chain/bpffs.conf": dropIn, "vendor-cni-chain/.bpffs-made": "",
		}},
		{"a broken file, CRI-O", crio, files{"05.conflist": "{", "10.conflist": bare}, "", 0, "changed", files{"05.conflist": "{", "10.conflist": inlined}},
		{"a broken file, containerd", newest, files{"05.conflist": "{", "10.conflist": bare}, "--wait=false", 2, "05.conflist", nil},
		{"a list of versions, libcni before 1.2", ignores, files{"10.conflist": old}, "", 2, "no cniVersion that the runtime knows", nil},
		{"a list of versions, libcni 1.3", newest, files{"10.conflist": old}, "--mode conflist", 0, "changed", files{"10.conflist": strings.Replace(old, `}]`, `},{"type":"bpffs"}]`, 1)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bin, conf := t.TempDir(), testns.Files(t, tt.have)
			r := testcri.Start(t)
			r.Name, r.Release = tt.runtime.Runtime, tt.runtime.Version
			args := append([]string{"install", "--from", from, "--bin-dir", bin, "--conf-dir", conf, "--cri-socket", r.Socket}, strings.Fields(tt.more)...)
			var said bytes.Buffer
			if code := run(t.Context(), args, &said, &said); code != tt.code || !strings.Contains(said.String(), tt.says) {
				t.Errorf("%v: got exit code %d, %q, want %d, %q", args, code, &said, tt.code, tt.says)
			}
			want := tt.want
			if want == nil {
				want = tt.have
			}
			if diff := cmp.Diff(map[string]string(want), contentsOf(t, conf)); diff != "" {
				t.Errorf("networks (-want +got):\n%s", diff)
			}
		})
	}
}

// contentsOf returns the files below a directory.
func contentsOf(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	testns.Must(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		all[name] = string(data)
		return err
	}))
	return all
}
