package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/testcri"
	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// says returns what containerd says of its directories.
func says(binDir, confDir string) map[string]string {
	return map[string]string{"config": fmt.Sprintf(`{"cni": {"binDirs": [%q], "confDir": %q}}`, binDir, confDir)}
}

// beRuntime is a runtime for which another file system is at the directory of
// plugins; it has a mount namespace of its own.
func beRuntime(stdout io.Writer) error {
	dir := os.Getenv("DIR")
	if err := syscall.Mount("tmpfs", filepath.Join(dir, "bin"), "tmpfs", 0, ""); err != nil {
		return err
	}
	r := testcri.Runtime{Info: says(filepath.Join(dir, "bin"), dir)}
	if _, err := r.Listen(filepath.Join(dir, "s")); err != nil {
		return err
	}
	fmt.Fprintln(stdout, "listens")
	testns.Await()
	return nil
}

// A directory that has the name of the runtime's is not taken for it.
func TestRuntimeElsewhere(t *testing.T) {
	testns.Need(t)
	dir := t.TempDir()
	testns.Must(t, os.Mkdir(dir+"/bin", 0o755))
	testns.StartApart(t, "runtime", "DIR="+dir)
	const refused = "/bin: containerd 2.4.2 sees another directory at this path than this process does: run it where the runtime runs: nsenter --target "
	for _, tt := range []struct {
		args string
		want int
		says string
	}{
		{"install --from /none", exitFailed, refused},
		{"uninstall", exitFailed, refused},
		{"doctor", exitFound, "/bin: containerd 2.4.2 sees another directory at this path than this process does\n"},
		{"install --from /none --bin-dir " + dir + "/bin", exitFailed, "the runtime does not look there"},
		{"uninstall --force --bin-dir " + dir + "/bin", exitDone, ""},
	} {
		var out strings.Builder
		code := run(t.Context(), append(strings.Fields(tt.args), "--cri-socket", dir+"/s"), &out, &out)
		if code != tt.want || !strings.Contains(out.String(), tt.says) {
			t.Errorf("%s: got exit code %d, want %d, and %q in %s", tt.args, code, tt.want, tt.says, out.String())
		}
	}
}

// Where the runtime does not look, nothing is installed.
func TestInstallWhereTheRuntimeLooks(t *testing.T) {
	testns.Need(t)
	top := t.TempDir()
	silent := filepath.Join(top, "none.sock")
	sayer := testcri.Start(t)
	sayer.Info = says(top+"/bin", top+"/net.d")
	said := sayer.Socket
	nothing := testcri.Start(t).Socket
	for _, tt := range []struct {
		name, args string
		says       []string
		not        string
	}{
		{
			"programs elsewhere", "--bin-dir " + top + "/other --conf-dir " + top + "/net.d --cri-socket " + said,
			[]string{top + "/other: the runtime does not look there: containerd 2.4.2 reads " + top + "/bin", "type --bin-dir " + top + "/bin"},
			"created",
		},
		{"networks elsewhere", "--conf-dir " + top + "/other --cri-socket " + said, []string{"leave out --conf-dir, or type --conf-dir " + top + "/net.d"}, "created"},
		{"both elsewhere", "--watch --bin-dir " + top + "/other --conf-dir " + top + "/other --cri-socket " + said, []string{"leave out --bin-dir", "leave out --conf-dir"}, "created"},
		{
			"a runtime that does not answer", "--bin-dir " + top + " --conf-dir " + top + " --cri-socket " + silent,
			[]string{"warning: ", silent, "no container runtime listens: ", "/none is not the plugin"},
			"assumed",
		},
		{"a file for a socket", "--bin-dir " + top + " --conf-dir " + top + " --cri-socket /dev/null", []string{"warning: ", "/dev/null", "refused"}, "assumed"},
		{"no runtime, and no directory", "--bin-dir " + top + "/other --conf-dir " + top + " --cri-socket " + silent, []string{"the directory " + top + "/other for plugins does not exist", "mkdir -p " + top + "/other"}, "created"},
		{"a runtime that does not say it", "--bin-dir " + top + " --cri-socket " + nothing, []string{"assumed /etc/cni/net.d for networks: containerd 2.4.2 does not say where it looks"}, "warning"},
		{"where it says", "--cri-socket " + said, []string{"created " + top + "/bin", "created " + top + "/net.d"}, "assumed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			testns.Mount(t, "tmpfs", "/etc", "") // the node's own
			var out strings.Builder
			args := append([]string{"install", "--from", "/none"}, strings.Fields(tt.args)...)
			if code := run(t.Context(), args, &out, &out); code != exitFailed {
				t.Errorf("%v: got exit code %d, want %d: %s", args, code, exitFailed, out.String())
			}
			for _, word := range tt.says {
				if !strings.Contains(out.String(), word) {
					t.Errorf("%v: got %q, want %q in it", args, out.String(), word)
				}
			}
			if strings.Contains(out.String(), tt.not) {
				t.Errorf("%v: got %q, want no %q in it", args, out.String(), tt.not)
			}
			if _, err := os.Stat(top + "/other"); err == nil {
				t.Errorf("%v: got %s/other, want none", args, top)
			}
		})
	}
}

// With another directory of networks the binary stays as long as a network of the
// runtime, which looks for it there, names it or may name it.
func TestUninstallElsewhere(t *testing.T) {
	testns.Need(t)
	from := builtPlugin(t)
	root := testns.BPFFS(t)
	const with = `{"cniVersion":"1.0.0","name":"net","plugins":[{"type":"bridge"},{"type":"bpffs"}]}`
	const bare = `{"cniVersion":"1.0.0","name":"net","plugins":[{"type":"bridge"}]}`
	for _, tt := range []struct {
		name  string
		files map[string]string
		more  string
		want  int
		says  []string
	}{
		{"a list", map[string]string{"10.conflist": with}, "", exitFound, []string{"still named in TOP/net.d/10.conflist", "bpffsctl uninstall --force --conf-dir=TOP/other "}},
		{"a drop-in file", map[string]string{"10.conflist": bare, "net/bpffs.conf": `{"type":"bpffs"}`}, "", exitFound, []string{"TOP/net.d/net/bpffs.conf"}},
		{"half a file", map[string]string{"10.conflist": `{"name":`}, "", exitFailed, []string{"TOP/net.d/10.conflist", "binary stays"}},
		{"the directory of plugins by its name", map[string]string{"10.conflist": with}, " --bin-dir TOP/bin", exitFound, []string{"--bin-dir=TOP/bin"}},
		{"nobody", map[string]string{"10.conflist": bare}, "", exitDone, []string{"removed TOP/bin/bpffs"}},
		{"another directory of plugins", map[string]string{"10.conflist": with}, " --bin-dir TOP/plugins", exitDone, []string{"removed TOP/plugins/bpffs"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			top := t.TempDir()
			testns.Must(t, os.Mkdir(top+"/other", 0o755))
			binary, err := os.ReadFile(from)
			testns.Must(t, err)
			tt.files["../bin/bpffs"], tt.files["../plugins/bpffs"] = string(binary), string(binary)
			for name, content := range tt.files {
				path := filepath.Join(top, "net.d", name)
				testns.Must(t, os.MkdirAll(filepath.Dir(path), 0o755))
				testns.Must(t, os.WriteFile(path, []byte(content), 0o755))
			}
			sayer := testcri.Start(t)
			sayer.Info = says(top+"/bin", top+"/net.d")
			args := "uninstall --conf-dir TOP/other --root " + root + " --cri-socket " + sayer.Socket + tt.more
			var out strings.Builder
			if code := run(t.Context(), strings.Fields(strings.ReplaceAll(args, "TOP", top)), &out, &out); code != tt.want {
				t.Errorf("got exit code %d, want %d: %s", code, tt.want, out.String())
			}
			for _, word := range tt.says {
				if word = strings.ReplaceAll(word, "TOP", top); !strings.Contains(out.String(), word) {
					t.Errorf("got %q, want %q in it", out.String(), word)
				}
			}
			for name, content := range tt.files {
				got, err := os.ReadFile(filepath.Join(top, "net.d", name))
				removed := strings.Contains(out.String(), "removed "+filepath.Join(top, "net.d", name))
				if string(got) != content && !removed || tt.want != exitDone && err != nil {
					t.Errorf("%s: got %.80q, %v, want what it was", name, got, err)
				}
			}
		})
	}
}

// Where it is only assumed that the runtime looks for plugins, its network's own plugin
// must be there: else every pod would fail.
func TestInstallWhereThePluginsAre(t *testing.T) {
	testns.Need(t)
	const bin, conf = "/opt/cni/bin/", "/etc/cni/net.d/"
	list := func(plugins string) string { return `{"cniVersion":"1.0.0","name":"net","plugins":[` + plugins + `]}` }
	bridge := list(`{"type":"bridge"},{"type":"portmap"}`)
	old := testcri.Start(t)
	old.Release = "v1.6.20"
	nothing := old.Socket
	from := builtPlugin(t)
	for _, tt := range []struct {
		name, socket string
		files        map[string]string
		more         string
		want         int
		says         string
	}{
		{"a runtime that does not say it", nothing, map[string]string{conf + "10.conflist": bridge, bin + "portmap": ""}, "", exitFailed, "/opt/cni/bin/bridge is missing, the plugin of the network net"},
		{"a runtime that does not answer", "/none", map[string]string{conf + "10.conflist": bridge, bin + "portmap": ""}, "", exitFailed, "install it, or start the runtime so that it says where it looks, or give its directory with --bin-dir"},
		{"the plugin after loopback", "/none", map[string]string{conf + "10.conflist": list(`{"type":"loopback"},{"type":"bridge"}`), bin + "loopback": ""}, "", exitFailed, "/opt/cni/bin/bridge"},
		{"a network by name", nothing, map[string]string{conf + "05.conflist": `{"cniVersion":"1.0.0","name":"a","plugins":[{"type":"a"}]}`, conf + "10.conflist": bridge, bin + "a": ""}, " --network net", exitFailed, "/opt/cni/bin/bridge"},
		{"it is there", "/none", map[string]string{conf + "10.conflist": bridge, bin + "bridge": ""}, "", exitDone, "changed"},
		{"a directory that was named", "/none", map[string]string{conf + "10.conflist": bridge, bin + "portmap": ""}, " --bin-dir " + bin, exitDone, "changed"},
		{"a chain of Multus", "/none", map[string]string{conf + "00.conf": `{"cniVersion":"1.0.0","name":"m","type":"multus"}`, bin + "x": ""}, " --network vendor-cni-chain --mode drop-in", exitDone, "wrote"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			testns.Mount(t, "tmpfs", "/etc", "")
			testns.Mount(t, "tmpfs", "/opt", "")
			for path, content := range tt.files {
				testns.Must(t, os.MkdirAll(filepath.Dir(path), 0o755))
				testns.Must(t, os.WriteFile(path, []byte(content), 0o755))
			}
			var out strings.Builder
			args := strings.Fields("install --wait=false --from " + from + " --cri-socket " + tt.socket + tt.more)
			if code := run(t.Context(), args, &out, &out); code != tt.want || !strings.Contains(out.String(), tt.says) {
				t.Errorf("%v: got exit code %d, want %d, and %q in %s", args, code, tt.want, tt.says, out.String())
			}
			list, err := os.ReadFile(conf + "10.conflist")
			if tt.want == exitFailed && (err != nil || string(list) != tt.files[conf+"10.conflist"]) {
				t.Errorf("the network: got %s, %v, want what it was", list, err)
			}
			if _, err := os.Stat(bin + "bpffs"); (err == nil) != (tt.want == exitDone) {
				t.Errorf("the plugin: got %v, want it there only with exit code 0", err)
			}
		})
	}
}
