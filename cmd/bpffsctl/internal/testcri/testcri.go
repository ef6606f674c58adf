// Package testcri is a container runtime for tests, as far as it names its pods.
package testcri

import (
	"context"
	"net"
	"path/filepath"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// A Pod is one of a runtime.
type Pod struct {
	ID, Namespace, Name, UID string

	Host     bool // on the network of the node
	NotReady bool // no longer
	Gone     bool // by the time its status is asked for
}

// A Runtime has pods, and answers about them unless it is silent.
type Runtime struct {
	cri.UnimplementedRuntimeServiceServer

	mu     sync.Mutex
	pods   []Pod
	silent bool
	Socket string
}

// Start starts a runtime with the pods, until the test ends.
func Start(tb testing.TB, pods ...Pod) *Runtime {
	tb.Helper()
	r := &Runtime{pods: pods, Socket: filepath.Join(tb.TempDir(), "cri.sock")}
	l, err := net.Listen("unix", r.Socket)
	testns.Must(tb, err)
	server := grpc.NewServer()
	cri.RegisterRuntimeServiceServer(server, r)
	go func() { _ = server.Serve(l) }()
	tb.Cleanup(server.Stop)
	return r
}

// Set gives the runtime other pods.
func (r *Runtime) Set(pods ...Pod) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pods = pods
}

// Silence lets the runtime answer no more, except that it is there.
func (r *Runtime) Silence() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.silent = true
}

// all returns the pods, once there is an answer.
func (r *Runtime) all(ctx context.Context) []Pod {
	r.mu.Lock()
	pods, silent := r.pods, r.silent
	r.mu.Unlock()
	if silent {
		<-ctx.Done()
	}
	return pods
}

// Version answers at once.
func (*Runtime) Version(context.Context, *cri.VersionRequest) (*cri.VersionResponse, error) {
	return &cri.VersionResponse{RuntimeName: "containerd", RuntimeVersion: "v2.4.2"}, nil
}

// Status says that the network is ready.
func (*Runtime) Status(context.Context, *cri.StatusRequest) (*cri.StatusResponse, error) {
	return &cri.StatusResponse{Status: &cri.RuntimeStatus{Conditions: []*cri.RuntimeCondition{
		{Type: cri.RuntimeReady, Status: true}, {Type: cri.NetworkReady, Status: true},
	}}}, nil
}

// ListPodSandbox returns all pods, whatever is asked for.
func (r *Runtime) ListPodSandbox(ctx context.Context, _ *cri.ListPodSandboxRequest) (*cri.ListPodSandboxResponse, error) {
	answer := &cri.ListPodSandboxResponse{}
	for _, p := range r.all(ctx) {
		answer.Items = append(answer.Items, &cri.PodSandbox{
			Id: p.ID, State: p.state(), CreatedAt: 1, Metadata: &cri.PodSandboxMetadata{Namespace: p.Namespace, Name: p.Name, Uid: p.UID},
		})
	}
	return answer, nil
}

func (p Pod) state() cri.PodSandboxState {
	if p.NotReady {
		return cri.PodSandboxState_SANDBOX_NOTREADY
	}
	return cri.PodSandboxState_SANDBOX_READY
}

// PodSandboxStatus says on which network a pod is.
func (r *Runtime) PodSandboxStatus(ctx context.Context, q *cri.PodSandboxStatusRequest) (*cri.PodSandboxStatusResponse, error) {
	for _, p := range r.all(ctx) {
		if p.ID != q.GetPodSandboxId() || p.Gone {
			continue
		}
		mode := cri.NamespaceMode_POD
		if p.Host {
			mode = cri.NamespaceMode_NODE
		}
		return &cri.PodSandboxStatusResponse{Status: &cri.PodSandboxStatus{
			Id: p.ID, State: p.state(),
			Linux: &cri.LinuxPodSandboxStatus{Namespaces: &cri.Namespace{Options: &cri.NamespaceOption{Network: mode}}},
		}}, nil
	}
	return nil, status.Error(codes.NotFound, "no such pod")
}
