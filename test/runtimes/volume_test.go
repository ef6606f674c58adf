package runtimes

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/cni-bpffs/cni-bpffs/internal/bpf"
	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/internal/token"
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

const (
	kubeletDir = "/var/lib/kubelet"
	delegated  = "observability" // the namespace whose pods get tokens
	inside     = "/run/bpffs"    // where containers see the volume
)

// volumes is our plugin's configuration where pods see maps.
const volumes = `{"type": "bpffs", "podVolume": "bpffs", "maps": [
	{"name": "limits_", "type": "hash", "keySize": 4, "valueSize": 8, "maxEntries": 8, "pod": "ro"},
	{"name": "stats_", "type": "percpu_array", "keySize": 4, "valueSize": 16, "maxEntries": 2, "pod": "rw"},
	{"name": "pktcount_rx_"}, {"name": "pktcount_tx_"}],
	"delegate": {"namespaces": ["` + delegated + `"], "maps": ["array"],
		"programs": ["sched_cls", "socket_filter"], "attachTypes": ["tcx_egress"]}}`

// kubeletOnDisk gives the node's kubelet a directory on the disk of the host, until the
// test ends: runtimes do not idmap every file system.
func kubeletOnDisk(t *testing.T) {
	t.Helper()
	dir, err := os.MkdirTemp("/var/tmp", "bpffs-kubelet-") //nolint:usetesting // TMPDIR is not on disk
	testns.Must(t, err)
	t.Cleanup(func() { testns.Must(t, os.RemoveAll(dir)) })
	testns.Must(t, os.MkdirAll(kubeletDir, 0o755))
	testns.Must(t, unix.Mount(dir, kubeletDir, "", unix.MS_BIND, ""))
	for _, propagation := range []uintptr{unix.MS_PRIVATE, unix.MS_SHARED} { // shared, but not with dir
		testns.Must(t, unix.Mount("", kubeletDir, "", propagation, ""))
	}
	t.Cleanup(func() { testns.Must(t, unix.Unmount(kubeletDir, unix.MNT_DETACH)) })
}

// volumeOf returns the emptyDir of the pod.
func volumeOf(uid string) string {
	return filepath.Join(kubeletDir, "pods", uid, "volumes/kubernetes.io~empty-dir/bpffs")
}

// volume returns where the pod's emptyDir is.
func (p *pod) volume() string { return volumeOf(p.config.Metadata.Uid) }

// declareVolume makes the emptyDir as kubelet does, on disk or as a tmpfs.
func (p *pod) declareVolume(t *testing.T, memory bool) {
	t.Helper()
	dir := p.volume()
	testns.Must(t, os.MkdirAll(dir, 0o750))
	if memory {
		testns.Mount(t, "tmpfs", dir, "")
	}
	testns.Must(t, os.Chmod(dir, 0o777))
}

// wantNoVolume wants the volume as kubelet made it.
func (p *pod) wantNoVolume(t *testing.T) {
	t.Helper()
	entries, err := os.ReadDir(p.volume())
	if err != nil || len(entries) > 0 {
		t.Errorf("left in the volume: got %v (%v), want nothing", entries, err)
	}
}

// mounter starts a container of the pod that mounts the volume as kubelet asks for it.
func (p *pod) mounter(t *testing.T, name string, security *cri.LinuxContainerSecurityContext) string {
	t.Helper()
	id, err := p.tryMounter(t, name, p.volume(), security)
	testns.Must(t, err)
	return id
}

func (p *pod) tryMounter(t *testing.T, name, dir string, security *cri.LinuxContainerSecurityContext) (id string, err error) {
	t.Helper()
	security.NamespaceOptions = p.namespaces()
	users := p.namespaces().GetUsernsOptions()
	created, err := p.rt.cri.CreateContainer(t.Context(), &cri.CreateContainerRequest{
		PodSandboxId: p.id, SandboxConfig: p.config,
		Config: &cri.ContainerConfig{
			Metadata: &cri.ContainerMetadata{Name: name},
			Image:    &cri.ImageSpec{Image: image},
			Linux:    &cri.LinuxContainerConfig{SecurityContext: security},
			Mounts: []*cri.Mount{{
				ContainerPath: inside, HostPath: dir, UidMappings: users.GetUids(), GidMappings: users.GetGids(),
			}},
		},
	})
	if err == nil {
		_, err = p.rt.cri.StartContainer(t.Context(), &cri.StartContainerRequest{ContainerId: created.GetContainerId()})
	}
	return created.GetContainerId(), err
}

// endContainer stops and removes a container.
func (c *containerd) endContainer(t *testing.T, id string) {
	t.Helper()
	_, err := c.cri.StopContainer(t.Context(), &cri.StopContainerRequest{ContainerId: id, Timeout: int64(criTimeout.Seconds())})
	testns.Must(t, err)
	waitFor(t, "containerd to see that the container has ended", func() bool {
		_, err := c.cri.RemoveContainer(t.Context(), &cri.RemoveContainerRequest{ContainerId: id})
		return err == nil
	})
}

// as is a container's process: its user, and the capabilities that it has beside none.
func as(user int64, capabilities ...string) *cri.LinuxContainerSecurityContext {
	return &cri.LinuxContainerSecurityContext{
		RunAsUser: &cri.Int64Value{Value: user}, NoNewPrivs: user != 0,
		Capabilities: &cri.Capability{DropCapabilities: []string{"ALL"}, AddCapabilities: capabilities},
		Seccomp:      &cri.SecurityProfile{ProfileType: cri.SecurityProfile_Unconfined},
	}
}

// limitedTo writes to the map that the pod may read, and returns the map's ID.
func limitedTo(t *testing.T, ep bpffs.Endpoint, limit uint64) uint32 {
	t.Helper()
	pin := filepath.Join(mapDir, bpffs.LocalMapName("limits_", ep.ID))
	m, err := ebpf.LoadPinnedMap(pin, nil)
	testns.Must(t, err)
	defer m.Close()
	testns.Must(t, m.Put(uint32(0), limit))
	id, err := bpf.MapID(pin)
	testns.Must(t, err)
	return id
}

// wantGone wants the kernel to have no map with the ID, as soon as nobody uses it.
func wantGone(t *testing.T, id uint32) {
	t.Helper()
	waitFor(t, "the kernel to free the map "+fmt.Sprint(id), func() bool {
		m, err := ebpf.NewMapFromID(ebpf.MapID(id))
		if err == nil {
			testns.Must(t, m.Close())
		}
		return err != nil
	})
}

// needTokens skips what this kernel has no tokens for.
func needTokens(t *testing.T) {
	t.Helper()
	if err := token.CheckKernel(); err != nil {
		t.Skip(err)
	}
}

// mountsIn returns the options of the mounts at or below a path in a container.
func (c *containerd) mountsIn(t *testing.T, container, path string) map[string][]string {
	t.Helper()
	table, ok := c.exec(t, container, "/pod", "mounts")
	if !ok {
		t.Fatalf("reading the mount table of a container: %s", table)
	}
	all := make(map[string][]string)
	for line := range strings.Lines(table) {
		const point, options = 4, 5
		if fields := strings.Fields(line); strings.HasPrefix(fields[point], path) {
			all[fields[point]] = slices.Concat(all[fields[point]], strings.Split(fields[options], ","))
		}
	}
	return all
}
