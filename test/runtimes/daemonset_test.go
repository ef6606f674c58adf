package runtimes

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	core "k8s.io/api/core/v1"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// installerImage is what the manifests name.
const installerImage = "ghcr.io/cni-bpffs/bpffs:latest"

// TestDaemonSet runs the image as the DaemonSet's pods run it, with what its
// manifest says: pods made afterwards have pins, and it puts back what the main
// plugin overwrites.
func TestDaemonSet(t *testing.T) {
	if !onNode(t) {
		return
	}
	rt := newContainerd(t, "2.4")
	works(t, rt.subject(), "the image as the DaemonSet runs it: pods have pins, before and after the main plugin writes its file again")
	if err := os.Remove(cniBin + "/bpffs"); err != nil { // a link to what was built
		t.Fatal(err)
	}
	alone := conflist("1.0.0")
	rt.network(t, alone)
	rt.importInstaller(t, bins+"/bpffsctl")
	d := deploymentIn(t, "overlays/kubeadm")
	d.config.Data["bpffs.json"] = ours
	installer := rt.newPod(t, "bpffs")
	installer.namespaces().Network = cri.NamespaceMode_NODE
	must(t, installer.run)
	container := installer.containerLike(t, d)
	for _, name := range []string{"first", "rewritten"} {
		rt.takesPlugin(t, alone)
		p := rt.newPod(t, name)
		must(t, p.run)
		pinned(t, p.id)
		p.end(t)
		alone += "\n" // to be told from the one before
		rt.rewrite(t, alone)
	}
	rt.takesPlugin(t, alone)
	rt.probed(t, container, d, alone)
	t.Logf("working set of the container: %d KiB", rt.workingSet(t, container)>>10)
	installer.end(t)
	p := rt.newPod(t, "afterwards")
	must(t, p.run)
	pinned(t, p.id)
	p.end(t)
	nothingLeft(t)
	alone += "\n"
	rt.rewrite(t, alone)
	rt.otherOwner(t, alone)
}

// probed asks what kubelet asks, as the manifest says: the container is ready as long
// as the network has the plugin, else it says why not; and it is live all the time.
func (c *containerd) probed(t *testing.T, container string, d deployment, alone string) {
	t.Helper()
	spec := d.daemonSet.Spec.Template.Spec.Containers[0]
	want := func(ready bool, why string) {
		waitFor(t, fmt.Sprintf("ready: %v, and %q", ready, why), func() bool {
			says, success := c.exec(t, container, spec.ReadinessProbe.Exec.Command...)
			return success == ready && strings.Contains(says, why)
		})
		if says, success := c.exec(t, container, spec.LivenessProbe.Exec.Command...); !success {
			t.Errorf("liveness: got %q, want success", says)
		}
	}
	want(true, "")
	testns.Must(t, os.Remove(confDir+"/10-runtimes.conflist"))
	want(false, "waiting: ")
	c.rewrite(t, alone)
	want(true, "")
}

// importInstaller gives it the image of the DaemonSet, with this bpffsctl.
func (c *containerd) importInstaller(t *testing.T, bpffsctl string) {
	t.Helper()
	c.importImage(t, writeInstaller(t, installerImage, bins+"/bpffs", bpffsctl))
}

// writeInstaller writes the image of the DaemonSet for two architectures, both with these
// programs, and returns the file: test/release looks at the programs of a release.
func writeInstaller(t *testing.T, image, plugin, bpffsctl string) string {
	t.Helper()
	dir, file := t.TempDir(), filepath.Join(t.TempDir(), "image.tar")
	mustRun(t, "cp", plugin, dir+"/bpffs")
	mustRun(t, "cp", bpffsctl, dir+"/bpffsctl")
	testns.Must(t, os.Mkdir(dir+"/licenses", 0o755))
	mustRun(t, filepath.Join(top, "deploy/image.sh"), image, file, "amd64="+dir, "arm64="+dir)
	return file
}

// TestDaemonSetWithSocket lets the DaemonSet's pods ask the runtime. They have the
// node's directories by other names, and do not see the runtime's process: what
// cannot be compared is not refused.
func TestDaemonSetWithSocket(t *testing.T) {
	if !onNode(t) {
		return
	}
	rt := newContainerd(t, "2.4")
	works(t, rt.subject(), "the image as the DaemonSet runs it, with the CRI socket: drop-in files")
	testns.Must(t, os.Remove(cniBin+"/bpffs")) // a link to what was built
	rt.network(t, bridgeOnly)
	rt.importInstaller(t, bins+"/bpffsctl")
	d := deploymentIn(t, "overlays/kubeadm")
	c := &d.daemonSet.Spec.Template.Spec.Containers[0]
	c.Args = append(c.Args, "--cri-socket="+socket)
	c.VolumeMounts = append(c.VolumeMounts, core.VolumeMount{Name: "socket", MountPath: socket})
	installer := rt.newPod(t, "bpffs")
	installer.namespaces().Network = cri.NamespaceMode_NODE
	must(t, installer.run)
	installer.containerLike(t, d)
	podWith(t, rt, 1).end(t)
	if _, err := os.Stat(confDir + "/" + network + "/bpffs.conf"); err != nil {
		t.Errorf("the drop-in file: got %v, want one", err)
	}
	installer.end(t)
}

// otherOwner runs the image while directories and list belong to somebody else:
// as it is it has to say so, and with the component it has to install.
func (c *containerd) otherOwner(t *testing.T, alone string) {
	t.Helper()
	const user = 1234
	list := confDir + "/10-runtimes.conflist"
	for _, path := range []string{cniBin, confDir, list} {
		testns.Must(t, os.Chown(path, user, user))
	}
	testns.Must(t, os.Chmod(list, 0o640))
	installer := c.newPod(t, "other-owner")
	installer.config.LogDirectory = t.TempDir()
	installer.namespaces().Network = cri.NamespaceMode_NODE
	must(t, installer.run)
	container := installer.containerLike(t, deploymentIn(t, "overlays/kubeadm"))
	waitFor(t, "the container to end", func() bool { return c.exitCode(t, container) == 2 })
	log, err := os.ReadFile(filepath.Join(installer.config.LogDirectory, "installer.log"))
	if err != nil || !strings.Contains(string(log), "permission denied") {
		t.Errorf("as it is: got the log %q (%v), want it to say what it may not do", log, err)
	}

	d := deploymentIn(t, withComponent(t, "overlays/kubeadm", otherOwner))
	d.daemonSet.Spec.Template.Spec.Containers[0].Name = "with-component"
	installer.containerLike(t, d)
	c.takesPlugin(t, alone)
	var is unix.Stat_t
	if err := unix.Stat(list, &is); err != nil || is.Uid != user || is.Gid != user || is.Mode&0o777 != 0o640 {
		t.Errorf("owner and mode of the list: got %d:%d and %o (%v), want %d:%d and 640", is.Uid, is.Gid, is.Mode&0o777, err, user, user)
	}
	installer.end(t)
}

// takesPlugin waits until the runtime has taken this version of the network's file
// with the plugin in it: what ends it stays.
func (c *containerd) takesPlugin(t *testing.T, alone string) {
	t.Helper()
	end := alone[strings.LastIndexByte(alone, '}'):]
	waitFor(t, "the plugin in the network", func() bool {
		has := c.source(t)
		return strings.Contains(has, `"bpffs"`) && strings.HasSuffix(has, end)
	})
}

// exitCode returns that of a container, or -1 while it runs.
func (c *containerd) exitCode(t *testing.T, container string) int {
	t.Helper()
	status, err := c.cri.ContainerStatus(t.Context(), &cri.ContainerStatusRequest{ContainerId: container})
	testns.Must(t, err)
	if status.GetStatus().GetState() != cri.ContainerState_CONTAINER_EXITED {
		return -1
	}
	return int(status.GetStatus().GetExitCode())
}

// rewrite writes the network's file as its main plugin does, whatever becomes of
// it then.
func (c *containerd) rewrite(t *testing.T, conflist string) {
	t.Helper()
	replaceFile(t, confDir+"/"+networkFile, conflist)
}

// workingSet returns the memory of a container, in bytes.
func (c *containerd) workingSet(t *testing.T, container string) uint64 {
	t.Helper()
	stats, err := c.cri.ContainerStats(t.Context(), &cri.ContainerStatsRequest{ContainerId: container})
	testns.Must(t, err)
	return stats.GetStats().GetMemory().GetWorkingSetBytes().GetValue()
}

// containerLike starts the container of the DaemonSet in the pod, with the node's
// directories of the test.
func (p *pod) containerLike(t *testing.T, d deployment) string {
	t.Helper()
	spec := d.daemonSet.Spec.Template.Spec
	c := spec.Containers[0]
	config := &cri.ContainerConfig{
		Metadata: &cri.ContainerMetadata{Name: c.Name},
		Image:    &cri.ImageSpec{Image: c.Image},
		Command:  c.Command, Args: c.Args,
		Mounts:  mountsOf(t, d),
		LogPath: "installer.log",
		Linux: &cri.LinuxContainerConfig{
			Resources: &cri.LinuxContainerResources{MemoryLimitInBytes: c.Resources.Limits.Memory().Value()},
			SecurityContext: &cri.LinuxContainerSecurityContext{
				Privileged: *c.SecurityContext.Privileged, ReadonlyRootfs: *c.SecurityContext.ReadOnlyRootFilesystem,
				NoNewPrivs:       !*c.SecurityContext.AllowPrivilegeEscalation,
				Capabilities:     &cri.Capability{AddCapabilities: strs(c.SecurityContext.Capabilities.Add), DropCapabilities: strs(c.SecurityContext.Capabilities.Drop)},
				RunAsUser:        &cri.Int64Value{Value: *spec.SecurityContext.RunAsUser},
				RunAsGroup:       &cri.Int64Value{Value: *spec.SecurityContext.RunAsGroup},
				Seccomp:          &cri.SecurityProfile{ProfileType: cri.SecurityProfile_RuntimeDefault},
				NamespaceOptions: p.namespaces(),
			},
		},
	}
	for _, e := range c.Env {
		config.Envs = append(config.Envs, &cri.KeyValue{Key: e.Name, Value: []byte(e.Value)})
	}
	created, err := p.rt.cri.CreateContainer(t.Context(), &cri.CreateContainerRequest{
		PodSandboxId: p.id, SandboxConfig: p.config, Config: config,
	})
	if err == nil {
		_, err = p.rt.cri.StartContainer(t.Context(), &cri.StartContainerRequest{ContainerId: created.GetContainerId()})
	}
	testns.Must(t, err)
	return created.GetContainerId()
}

// mountsOf returns the mounts of the container: the ConfigMap as a directory, and
// the node's directories of the test in place of those of the manifest.
func mountsOf(t *testing.T, d deployment) (mounts []*cri.Mount) {
	t.Helper()
	config := t.TempDir()
	for name, text := range d.config.Data {
		write(t, filepath.Join(config, name), text)
	}
	node := map[string]string{
		"bin": cniBin, "conf": confDir, "bpffs": config, "socket": socket, "status": t.TempDir(),
		"node-bpffs": bpfRoot, "netns": "/run/netns",
	}
	for _, m := range d.daemonSet.Spec.Template.Spec.Containers[0].VolumeMounts {
		if node[m.Name] == "" {
			t.Fatalf("mounts of the manifest: got %s, want one that is known here", m.Name)
		}
		mount := &cri.Mount{ContainerPath: m.MountPath, HostPath: node[m.Name], Readonly: m.ReadOnly}
		if p := m.MountPropagation; p != nil && *p == core.MountPropagationHostToContainer {
			mount.Propagation = cri.MountPropagation_PROPAGATION_HOST_TO_CONTAINER
		}
		mounts = append(mounts, mount)
	}
	return mounts
}

func strs(capabilities []core.Capability) (names []string) {
	for _, c := range capabilities {
		names = append(names, string(c))
	}
	return names
}
