package runtimes

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// A process is what runs in a container, and what it sees there.
type process struct {
	name     string
	security *cri.LinuxContainerSecurityContext
	sight    sight
}

// processes are those of containers in a pod: the ones that have no privilege on the
// node. crun attaches mounts one by one, and the kernel locks only what came with a
// copy of the whole mount namespace, as with runc.
func processes(userNS, withToken bool, handler string) []process {
	root, admin := as(0), as(0)
	root.Capabilities = &cri.Capability{} // what the runtime gives to every container
	admin.Capabilities = &cri.Capability{AddCapabilities: []string{"SYS_ADMIN"}}
	all := []process{
		{"root", root, sight{}},
		{"nobody", as(nobody), sight{}},
		{"nobody-with-capabilities", as(nobody, "BPF", "NET_ADMIN"), sight{}},
	}
	if userNS && !withToken {
		all = append(all, process{"admin", admin, sight{admin: true, unlocked: handler == "crun"}}, process{"bpf", as(0, "BPF", "NET_ADMIN"), sight{}})
	}
	if withToken {
		all = append(all,
			process{"bpf", as(0, "BPF"), sight{loads: true}},
			process{"bpf-and-net-admin", as(0, "BPF", "NET_ADMIN"), sight{loads: true, attaches: true}},
			process{"net-admin", as(0, "NET_ADMIN"), sight{}},
		)
	}
	return all
}

// newNeighbor starts a pod with a map of its own, whose ID it returns.
func (c *containerd) newNeighbor(t *testing.T) (p *pod, mapID uint32) {
	t.Helper()
	p = c.newPod(t, "neighbor")
	p.declareVolume(t, false)
	must(t, p.run)
	return p, limitedTo(t, pinned(t, p.id), 99)
}

// A volumePod is a kind of pod that has a volume.
type volumePod struct {
	name, feature         string
	memory, userNS, token bool
}

// volumePods are all kinds, the plain ones first.
func volumePods() []volumePod {
	return []volumePod{
		{"plain-disk", "a plain pod, emptyDir on disk", false, false, false},
		{"plain-memory", "a plain pod, emptyDir in memory", true, false, false},
		{"users-disk", "a pod in a user namespace, emptyDir on disk", false, true, false},
		{"users-memory", "a pod in a user namespace, emptyDir in memory", true, true, false},
		{"token-disk", "a pod with a token, emptyDir on disk", false, true, true},
		{"token-memory", "a pod with a token, emptyDir in memory", true, true, true},
	}
}

// run starts a pod of the kind.
func (v volumePod) run(t *testing.T, rt *containerd, handler string) *pod {
	t.Helper()
	p := rt.newPod(t, v.name)
	p.handler = handler
	v.prepare(t, p)
	must(t, p.run)
	return p
}

// prepare makes the pod one of the kind.
func (v volumePod) prepare(t *testing.T, p *pod) {
	t.Helper()
	if v.token {
		needTokens(t)
		p.config.Metadata.Namespace = delegated
	}
	if v.userNS {
		p.inUserNamespace()
	}
	p.declareVolume(t, v.memory)
}

// TestPodVolume16 and its brothers: pods see their maps, and can do nothing else.
func TestPodVolume16(t *testing.T) {
	if onNode(t) {
		volumesUnder(t, newContainerd(t, "1.6"), "runc 1.1", "runc", volumePods()[:2])
	}
}

func TestPodVolumeRunc24(t *testing.T) {
	if onNode(t) {
		volumesUnder(t, newContainerd(t, "2.4"), "runc 1.5", "runc", volumePods())
	}
}

func TestPodVolumeCrun24(t *testing.T) {
	if onNode(t) {
		hideUnified(t)
		volumesUnder(t, newContainerd(t, "2.4"), "crun 1.21", "crun", volumePods())
	}
}

// hideUnified leaves the node with cgroups of one version: crun refuses both.
func hideUnified(t *testing.T) {
	t.Helper()
	err := unix.Unmount("/sys/fs/cgroup/unified", unix.MNT_DETACH)
	if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		t.Fatal(err)
	}
}

func volumesUnder(t *testing.T, rt *containerd, version, handler string, kinds []volumePod) {
	t.Helper()
	kubeletOnDisk(t)
	rt.network(t, conflist("1.0.0", volumes))
	neighbor, others := rt.newNeighbor(t)
	for _, v := range kinds {
		t.Run(v.name, func(t *testing.T) {
			works(t, rt.subject(), v.feature+" ("+version+"): what it can do, and what is refused")
			p := v.run(t, rt, handler)
			id := limitedTo(t, pinned(t, p.id), 7)
			for _, c := range processes(v.userNS, v.token, handler) {
				c.sight.limit, c.sight.token = 7, v.token
				t.Log(c.name)
				rt.wantSight(t, p.mounter(t, c.name, c.security), others, c.sight)
			}
			p.end(t)
			wantGone(t, id)
		})
	}
	neighbor.end(t)
	neighbor.wantNoVolume(t)
}
