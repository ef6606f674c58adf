package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// A runtimeOf says that it is containerd, and what containerd says of directories.
type runtimeOf struct {
	runtime.UnimplementedRuntimeServiceServer

	config string
}

func (runtimeOf) Version(context.Context, *runtime.VersionRequest) (*runtime.VersionResponse, error) {
	return &runtime.VersionResponse{RuntimeName: "containerd", RuntimeVersion: "v2.4.2"}, nil
}

func (r runtimeOf) Status(context.Context, *runtime.StatusRequest) (*runtime.StatusResponse, error) {
	return &runtime.StatusResponse{Info: map[string]string{"config": r.config}}, nil
}

// listen returns the socket at which it answers until the test ends.
func (r runtimeOf) listen(t *testing.T) (socket string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	testns.Must(t, err)
	server := grpc.NewServer()
	runtime.RegisterRuntimeServiceServer(server, r)
	go func() { _ = server.Serve(l) }()
	t.Cleanup(server.Stop)
	return socket
}

// Where the runtime does not look, nothing is installed.
func TestInstallWhereTheRuntimeLooks(t *testing.T) {
	testns.Need(t)
	top := t.TempDir()
	silent := filepath.Join(top, "none.sock")
	said := runtimeOf{config: fmt.Sprintf(`{"cni": {"binDirs": ["%s/bin"], "confDir": "%[1]s/net.d"}}`, top)}.listen(t)
	nothing := runtimeOf{}.listen(t)
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
