package install

import (
	"context"
	"net"
	"path/filepath"
	"testing"

	"google.golang.org/grpc"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/cri"
	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// A served runtime says that it is containerd 2.4.
type served struct {
	runtime.UnimplementedRuntimeServiceServer
}

func (served) Version(context.Context, *runtime.VersionRequest) (*runtime.VersionResponse, error) {
	return &runtime.VersionResponse{RuntimeName: "containerd", RuntimeVersion: "v2.4.2"}, nil
}

// A runtime that is being restarted is what it was, so that the network does not
// change from one way to the other and back.
func TestRuntimeIsRestarted(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "cri")
	r := Runtime{Socket: socket}
	if got := r.Version(t.Context()); got != (cri.Version{}) {
		t.Errorf("before anything answers: got %v, want nothing", got)
	}
	listener, err := net.Listen("unix", socket)
	testns.Must(t, err)
	server := grpc.NewServer()
	runtime.RegisterRuntimeServiceServer(server, served{})
	done := make(chan error)
	go func() { done <- server.Serve(listener) }()
	want := cri.Version{Runtime: "containerd", Version: "v2.4.2"}
	if got := r.Version(t.Context()); got != want {
		t.Errorf("while it answers: got %v, want %v", got, want)
	}
	server.Stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if got := r.Version(t.Context()); got != want {
		t.Errorf("while it is restarted: got %v, want %v as before", got, want)
	}
}
