package gc

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/cri"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/testcri"
	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// serve lets a runtime listen at the socket. Without pods it does not speak the
// CRI.
func serve(t *testing.T, socket string, ids ...string) {
	t.Helper()
	testns.Must(t, os.MkdirAll(filepath.Dir(socket), 0o700))
	if len(ids) == 0 {
		l, err := net.Listen("unix", socket)
		testns.Must(t, err)
		server := grpc.NewServer()
		go func() { _ = server.Serve(l) }()
		t.Cleanup(server.Stop)
		return
	}
	var r testcri.Runtime
	pods := make([]testcri.Pod, len(ids))
	for i, id := range ids {
		pods[i] = testcri.Pod{ID: id, NotReady: true}
	}
	r.Set(pods...)
	stop, err := r.Listen(socket)
	testns.Must(t, err)
	t.Cleanup(stop)
}

// Without --cri-socket every runtime of the node is asked, or none is believed.
func TestAskAll(t *testing.T) {
	testns.Need(t)
	sockets := []string{"/run/containerd/containerd.sock", "/run/crio/crio.sock", "/run/k3s/containerd/containerd.sock"}
	for _, tt := range []struct {
		name string
		make func(t *testing.T)
		want error
		has  []string
	}{
		{"none", func(*testing.T) {}, cri.ErrNoRuntime, nil},
		{"one", func(t *testing.T) { //nolint:thelper // it is the test
			serve(t, sockets[1], "a", "b")
		}, nil, []string{"a", "b"}},
		{"two", func(t *testing.T) { //nolint:thelper // it is the test
			serve(t, sockets[0], "a")
			serve(t, sockets[2], "b")
		}, nil, []string{"a", "b"}},
		{"one without the CRI", func(t *testing.T) { //nolint:thelper // it is the test
			serve(t, sockets[0])
			serve(t, sockets[2], "b")
		}, nil, []string{"b"}},
		{"only one without the CRI", func(t *testing.T) { //nolint:thelper // it is the test
			serve(t, sockets[0])
		}, cri.ErrNoCRI, nil},
		{"one does not listen", func(t *testing.T) { //nolint:thelper // it is the test
			serve(t, sockets[0], "a")
			testns.Must(t, os.MkdirAll(filepath.Dir(sockets[1]), 0o700))
			testns.Must(t, os.WriteFile(sockets[1], nil, 0o600))
		}, cri.ErrNoRuntime, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			testns.Mount(t, "tmpfs", "/run", "")
			tt.make(t)
			var l Live
			err := l.Ask(t.Context(), nil)
			if !errors.Is(err, tt.want) {
				t.Errorf("Ask: got %v, want %v", err, tt.want)
			}
			for _, id := range tt.has {
				if !l.Has(id) {
					t.Errorf("%q is not alive", id)
				}
			}
		})
	}
}

// A socket that was named must answer, also beside others.
func TestAskNamed(t *testing.T) {
	without, with := filepath.Join(t.TempDir(), "s"), filepath.Join(t.TempDir(), "s")
	serve(t, without)
	serve(t, with, "a")
	var l Live
	if err := l.Ask(t.Context(), []string{without, with}); !errors.Is(err, cri.ErrNoCRI) {
		t.Errorf("Ask: got %v, want %v", err, cri.ErrNoCRI)
	}
}

// What is no container ID would make the container that it means look gone.
func TestReadListRefuses(t *testing.T) {
	for _, line := range []string{"containerd://c1", `"c1"`, "c1,", "\ufeffc1", "c1 c2", "a/b", "-c1", "c1\x1b"} {
		var l Live
		if err := l.ReadList(strings.NewReader("c0\n" + line + "\n")); err == nil || !strings.Contains(err.Error(), "line 2") {
			t.Errorf("ReadList of %q: got %v, want an error about line 2", line, err)
		}
	}
	var l Live
	if err := l.ReadList(strings.NewReader("\n c1 \r\ncnitool-0a.b_c\n")); err != nil || l.Len() != 2 {
		t.Errorf("ReadList: got %v, %d containers, want 2", err, l.Len())
	}
}
