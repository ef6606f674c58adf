package runtimes

import (
	"context"
	"strconv"
	"testing"
	"time"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// A pod is a sandbox of containerd.
type pod struct {
	rt      *containerd
	config  *cri.PodSandboxConfig
	handler string // what runs it; empty: runc
	id      string
}

// newPod returns a pod that does not run yet.
func (c *containerd) newPod(t *testing.T, name string) *pod {
	t.Helper()
	return &pod{rt: c, config: &cri.PodSandboxConfig{
		Metadata:  &cri.PodSandboxMetadata{Name: name, Uid: name, Namespace: "default"},
		DnsConfig: &cri.DNSConfig{},
		Linux: &cri.LinuxPodSandboxConfig{
			CgroupParent:    cgroupParent(t),
			SecurityContext: &cri.LinuxSandboxSecurityContext{NamespaceOptions: &cri.NamespaceOption{}},
		},
	}}
}

// namespaces are those that the pod and its containers have.
func (p *pod) namespaces() *cri.NamespaceOption {
	return p.config.Linux.SecurityContext.NamespaceOptions
}

// inUserNamespace maps the users of the pod to others.
func (p *pod) inUserNamespace() {
	ids := []*cri.IDMapping{{HostId: 100000, ContainerId: 0, Length: 65536}}
	p.namespaces().UsernsOptions = &cri.UserNamespace{Mode: cri.NamespaceMode_POD, Uids: ids, Gids: ids}
}

const criTimeout = time.Minute

// run starts the pod.
func (p *pod) run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, criTimeout)
	defer cancel()
	started, err := p.rt.cri.RunPodSandbox(ctx, &cri.RunPodSandboxRequest{Config: p.config, RuntimeHandler: p.handler})
	if err == nil {
		p.id = started.GetPodSandboxId()
	}
	return err
}

// stop stops the pod.
func (p *pod) stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, criTimeout)
	defer cancel()
	_, err := p.rt.cri.StopPodSandbox(ctx, &cri.StopPodSandboxRequest{PodSandboxId: p.id})
	return err
}

// remove removes the stopped pod.
func (p *pod) remove(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, criTimeout)
	defer cancel()
	_, err := p.rt.cri.RemovePodSandbox(ctx, &cri.RemovePodSandboxRequest{PodSandboxId: p.id})
	return err
}

// end stops and removes the pod.
func (p *pod) end(t *testing.T) {
	t.Helper()
	must(t, p.stop)
	must(t, p.remove)
}

// must fails the test on an error of one of the above.
func must(t *testing.T, do func(context.Context) error) {
	t.Helper()
	testns.Must(t, do(t.Context()))
}

// container starts a container in the pod and returns its ID.
func (p *pod) container(t *testing.T) string {
	t.Helper()
	created, err := p.rt.cri.CreateContainer(t.Context(), &cri.CreateContainerRequest{
		PodSandboxId: p.id, SandboxConfig: p.config,
		Config: &cri.ContainerConfig{
			Metadata: &cri.ContainerMetadata{Name: "main"},
			Image:    &cri.ImageSpec{Image: image},
			Linux: &cri.LinuxContainerConfig{SecurityContext: &cri.LinuxContainerSecurityContext{
				NamespaceOptions: p.namespaces(),
			}},
		},
	})
	testns.Must(t, err)
	_, err = p.rt.cri.StartContainer(t.Context(), &cri.StartContainerRequest{ContainerId: created.GetContainerId()})
	testns.Must(t, err)
	return created.GetContainerId()
}

// send sends packets from a container of the pod.
func (p *pod) send(t *testing.T, container string, packets int) {
	t.Helper()
	done, err := p.rt.cri.ExecSync(t.Context(), &cri.ExecSyncRequest{
		ContainerId: container, Cmd: []string{"/pod", "send", gateway, strconv.Itoa(packets)}, Timeout: 20,
	})
	testns.Must(t, err)
	if done.GetExitCode() != 0 {
		t.Fatalf("sending from the container: %d: %s", done.GetExitCode(), done.GetStderr())
	}
}
