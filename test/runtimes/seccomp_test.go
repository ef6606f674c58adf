package runtimes

import (
	"path/filepath"
	"testing"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// creator is a program that needs a command of bpf(2) which the profile for pods
// does not allow.
const creator = `package main

import (
	"log"

	"github.com/cilium/ebpf"
)

func main() {
	if _, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1}); err != nil {
		log.Fatal(err)
	}
}
`

// TestSeccompProfile runs the example of docs/pods.md in containers with the
// profiles that it speaks of.
func TestSeccompProfile(t *testing.T) {
	if !onNode(t) {
		return
	}
	statsMap(t)
	programs := t.TempDir()
	for name, source := range map[string]string{"read": snippets(t, podsPage, "go")[0], "create": creator} {
		mustRun(t, "install", "-m", "755", buildGo(t, source), filepath.Join(programs, name))
	}
	profile, err := filepath.Abs(filepath.Join(top, "deploy/seccomp/bpffs-maps.json"))
	testns.Must(t, err)
	rt := newContainerd(t, "2.4")
	rt.network(t, conflist("1.0.0", ours))
	p := rt.newPod(t, "seccomp")
	must(t, p.run)
	const (
		unconfined = cri.SecurityProfile_Unconfined
		standard   = cri.SecurityProfile_RuntimeDefault
		local      = cri.SecurityProfile_Localhost
	)
	for _, tt := range []struct {
		name         string
		profile      cri.SecurityProfile_ProfileType
		capabilities []string
		reads, makes bool
	}{
		{"no-profile", unconfined, []string{"BPF"}, true, true},
		{"runtimes-own", standard, nil, false, false},
		{"runtimes-own-with-bpf", standard, []string{"BPF"}, true, true},
		{"ours", local, nil, true, false},
		{"ours-with-bpf", local, []string{"BPF"}, true, false},
	} {
		security := &cri.LinuxContainerSecurityContext{
			Capabilities: &cri.Capability{AddCapabilities: tt.capabilities, DropCapabilities: []string{"ALL"}},
			Seccomp:      &cri.SecurityProfile{ProfileType: tt.profile},
		}
		if tt.profile == local {
			security.Seccomp.LocalhostRef = profile
		}
		container := p.containerWith(t, tt.name, security, map[string]string{"/run/bpffs": "/run/bpffs", "/programs": programs})
		for program, want := range map[string]bool{"read": tt.reads, "create": tt.makes} {
			if out, done := rt.exec(t, container, "/programs/"+program); done != want {
				t.Errorf("%s: %s: got success %t: %s, want %t", tt.name, program, done, out, want)
			}
		}
	}
	p.end(t)
}

// containerWith starts a container in the pod, with directories of the node by
// their paths in it.
func (p *pod) containerWith(t *testing.T, name string, security *cri.LinuxContainerSecurityContext, mounts map[string]string) string {
	t.Helper()
	security.NamespaceOptions = p.namespaces()
	config := &cri.ContainerConfig{
		Metadata: &cri.ContainerMetadata{Name: name},
		Image:    &cri.ImageSpec{Image: image},
		Linux:    &cri.LinuxContainerConfig{SecurityContext: security},
	}
	for path, dir := range mounts {
		config.Mounts = append(config.Mounts, &cri.Mount{ContainerPath: path, HostPath: dir})
	}
	created, err := p.rt.cri.CreateContainer(t.Context(), &cri.CreateContainerRequest{PodSandboxId: p.id, SandboxConfig: p.config, Config: config})
	if err == nil {
		_, err = p.rt.cri.StartContainer(t.Context(), &cri.StartContainerRequest{ContainerId: created.GetContainerId()})
	}
	testns.Must(t, err)
	return created.GetContainerId()
}

// exec returns what a command in a container says, and whether it succeeds.
func (c *containerd) exec(t *testing.T, container string, command ...string) (out string, success bool) {
	t.Helper()
	done, err := c.cri.ExecSync(t.Context(), &cri.ExecSyncRequest{ContainerId: container, Cmd: command, Timeout: 20})
	testns.Must(t, err)
	return string(done.GetStdout()) + string(done.GetStderr()), done.GetExitCode() == 0
}
