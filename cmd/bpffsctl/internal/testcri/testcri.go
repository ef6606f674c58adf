// Package testcri is a container runtime for tests, as far as it says what it is and
// names its pods.
package testcri

import (
	"cmp"
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

// A Runtime has pods, and answers about them unless it is silent. It is containerd 2.4,
// and its network is ready, unless something else is set.
type Runtime struct {
	cri.UnimplementedRuntimeServiceServer

	Name, Release string            // what it is
	WhyNot        string            // its network is not ready
	Info          map[string]string // in a verbose status
	Hangs         bool              // it answers nothing at all

	mu     sync.Mutex
	pods   []Pod
	silent bool
	Socket string
}

// Start starts a runtime with the pods, until the test ends.
func Start(tb testing.TB, pods ...Pod) *Runtime {
	tb.Helper()
	r := &Runtime{pods: pods}
	stop, err := r.Listen(filepath.Join(tb.TempDir(), "cri.sock"))
	testns.Must(tb, err)
	tb.Cleanup(stop)
	return r
}

// Listen lets the runtime answer at the socket until stop is called.
func (r *Runtime) Listen(socket string) (stop func(), err error) {
	r.Socket = socket
	l, err := net.Listen("unix", socket)
	if err != nil {
		return nil, err
	}
	server := grpc.NewServer()
	cri.RegisterRuntimeServiceServer(server, r)
	go func() { _ = server.Serve(l) }()
	return server.Stop, nil
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

// Version says what it is.
func (r *Runtime) Version(ctx context.Context, _ *cri.VersionRequest) (*cri.VersionResponse, error) {
	if r.Hangs {
		<-ctx.Done()
	}
	return &cri.VersionResponse{RuntimeName: cmp.Or(r.Name, "containerd"), RuntimeVersion: cmp.Or(r.Release, "v2.4.2")}, nil
}

// Status says whether the network is ready.
func (r *Runtime) Status(context.Context, *cri.StatusRequest) (*cri.StatusResponse, error) {
	return &cri.StatusResponse{Info: r.Info, Status: &cri.RuntimeStatus{Conditions: []*cri.RuntimeCondition{
		{Type: cri.RuntimeReady, Status: true}, {Type: cri.NetworkReady, Status: r.WhyNot == "", Message: r.WhyNot},
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
