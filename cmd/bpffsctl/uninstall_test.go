package main

import (
	"os"
	"strings"
	"testing"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/testadd"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/testcri"
	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

// The command that uninstall prints removes what deleted pods left, whichever runtime
// the node has.
func TestUninstallSaysWhatCollects(t *testing.T) {
	testns.Need(t)
	from := builtPlugin(t)
	for _, tt := range []struct {
		name, usual, args, want string
	}{
		{"no runtime", "", "", "bpffsctl gc --live-from /dev/null --network net --allow-empty --older-than 0s --yes"},
		{"a runtime at a usual place", "/run/crio/crio.sock", "", "bpffsctl gc --network net --allow-empty --older-than 0s --yes"},
		{"a runtime elsewhere", "", " --cri-socket /run/own.sock", "bpffsctl gc --cri-socket /run/own.sock --network net --allow-empty --older-than 0s --yes"},
		{"a root", "", " --root ROOT", "bpffsctl gc --root ROOT --live-from /dev/null --network net --allow-empty --older-than 0s --yes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			testns.Mount(t, "tmpfs", "/run", "")
			testns.Must(t, os.MkdirAll("/run/netns", 0o755)) // in which that of the pod is not any more
			listen(t, tt.usual)
			listen(t, strings.TrimPrefix(tt.args, " --cri-socket "))
			root := testns.BPFFS(t)
			placed := strings.NewReplacer("ROOT", root)
			_, err := testadd.Add(t.Context(), root, bpffs.Attachment{Network: "net", ContainerID: "lost", IfName: "eth0"}, bpffs.Details{NetNS: "/run/netns/lost"})
			testns.Must(t, err)
			binary, err := os.ReadFile(from)
			testns.Must(t, err)
			dir := testns.Files(t, map[string]string{"bin/bpffs": string(binary), "net.d/10.conflist": `{"cniVersion":"1.0.0","name":"net","plugins":[{"type":"bridge"}]}`})
			uninstall := strings.Fields(placed.Replace("uninstall --bin-dir " + dir + "/bin --conf-dir " + dir + "/net.d" + tt.args))
			said := runs(t, exitFound, uninstall...)
			if want := "with " + placed.Replace(tt.want) + ", then"; !strings.Contains(said, want) {
				t.Fatalf("%s: got %q, want %q in it", uninstall, said, want)
			}
			runs(t, exitDone, strings.Fields(placed.Replace(tt.want))[1:]...)
			runs(t, exitDone, uninstall...)
		})
	}
}

// TestUninstallFromAnAssumedDirectory: where the runtime looks is not known, so the
// binary may be elsewhere.
func TestUninstallFromAnAssumedDirectory(t *testing.T) {
	testns.Need(t)
	testns.Mount(t, "tmpfs", "/opt", "")
	dir := testns.Files(t, map[string]string{"net.d/10.conflist": `{"cniVersion":"1.0.0","name":"net","plugins":[{"type":"bridge"},{"type":"bpffs"}]}`})
	said := runs(t, exitFound, "uninstall", "--conf-dir", dir+"/net.d", "--root", testns.BPFFS(t), "--cri-socket", dir+"/none.sock")
	if want := "if it is elsewhere than in /opt/cni/bin"; !strings.Contains(said, want) {
		t.Errorf("got %q, want %q in it", said, want)
	}
}

// listen has a runtime without pods at the socket, if it is one.
func listen(t *testing.T, socket string) {
	t.Helper()
	if !strings.HasSuffix(socket, ".sock") {
		return
	}
	testns.Must(t, os.MkdirAll(socket[:strings.LastIndexByte(socket, '/')], 0o755))
	stop, err := (&testcri.Runtime{}).Listen(socket)
	testns.Must(t, err)
	t.Cleanup(stop)
}

// runs returns what the command prints.
func runs(t *testing.T, want int, args ...string) string {
	t.Helper()
	var out strings.Builder
	if code := run(t.Context(), args, &out, &out); code != want {
		t.Errorf("%s: got exit code %d, want %d: %s", args, code, want, out.String())
	}
	return out.String()
}
