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
	const refused = "/bin: for containerd 2.4.2 another directory has this name than for this process: run it where the runtime runs: nsenter --target "
	for _, tt := range []struct {
		args string
		want int
		says string
	}{
		{"install --from /none", exitFailed, refused},
		{"uninstall", exitFailed, refused},
		{"doctor", exitFound, "/bin: for containerd 2.4.2 another directory has this name than for this process\n"},
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
			[]string{top + "/other: the runtime does not look there: containerd 2.4.2 reads " + top + "/bin", "say --bin-dir " + top + "/bin"},
			"created",
		},
		{"networks elsewhere", "--conf-dir " + top + "/other --cri-socket " + said, []string{"leave out --conf-dir, or say --conf-dir " + top + "/net.d"}, "created"},
		{"both elsewhere", "--watch --bin-dir " + top + "/other --conf-dir " + top + "/other --cri-socket " + said, []string{"leave out --bin-dir", "leave out --conf-dir"}, "created"},
		{
			"a runtime that does not answer", "--bin-dir " + top + " --conf-dir " + top + " --cri-socket " + silent,
			[]string{"warning: ", silent, "no container runtime listens there", "/none is not the plugin"},
			"assumed",
		},
		{"a file for a socket", "--bin-dir " + top + " --conf-dir " + top + " --cri-socket /dev/null", []string{"warning: ", "/dev/null", "refused"}, "assumed"},
		{"no runtime, and no directory", "--bin-dir " + top + "/other --conf-dir " + top + " --cri-socket " + silent, []string{"there is no directory " + top + "/other", "mkdir -p " + top + "/other"}, "created"},
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
