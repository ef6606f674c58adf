package runtimes

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// A process is what runs in a container, and what it sees there.
type process struct {
	name      string
	security  *cri.LinuxContainerSecurityContext
	abilities abilities
}

// processes are those of containers in a pod: the ones that have no privilege on the
// node. crun attaches mounts one by one, and the kernel locks only what came with a
// copy of the whole mount namespace, as with runc.
func processes(kind volumePod, handler string) []process {
	root, admin := as(0), as(0)
	root.Capabilities = &cri.Capability{} // what the runtime gives to every container
	admin.Capabilities = &cri.Capability{AddCapabilities: []string{"SYS_ADMIN"}}
	all := []process{
		{"root", root, abilities{}},
		{"nobody", as(nobody), abilities{}},
		{"nobody-with-capabilities", as(nobody, "BPF", "NET_ADMIN"), abilities{}},
	}
	if kind.userNS && !kind.token {
		all = append(all, process{"admin", admin, abilities{admin: true, unlocked: handler == "crun"}}, process{"bpf", as(0, "BPF", "NET_ADMIN"), abilities{}})
	}
	if kind.token {
		all = append(all,
			process{"bpf", as(0, "BPF"), abilities{loads: true}},
			process{"bpf-and-net-admin", as(0, "BPF", "NET_ADMIN"), abilities{loads: true, attaches: true}},
			process{"net-admin", as(0, "NET_ADMIN"), abilities{}},
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

// A volumePod is a kind of pod that has a volume, on disk or in memory.
type volumePod struct {
	name                  string
	memory, userNS, token bool
}

// plainPods are in the user namespace of the node.
func plainPods() []volumePod {
	return []volumePod{
		{name: "plain-disk"},
		{name: "plain-memory", memory: true},
	}
}

// everyPod are all kinds.
func everyPod() []volumePod {
	return append(plainPods(), []volumePod{
		{name: "users-disk", userNS: true},
		{name: "users-memory", userNS: true, memory: true},
		{name: "token-disk", userNS: true, token: true},
		{name: "token-memory", userNS: true, token: true, memory: true},
	}...)
}

// everyKind is everyPod in the table.
const everyKind = "in a user namespace or not, with a token or not, emptyDir on disk or in memory"

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
		p.config.Metadata.Namespace = delegated
	}
	if v.userNS {
		p.inUserNamespace()
	}
	p.declareVolume(t, v.memory)
}

// TestVolumes16 and its brothers: pods see their maps, and can do nothing else.
func TestVolumes16(t *testing.T) {
	if onNode(t) {
		rt := newContainerd(t, "1.6")
		works(t, rt.subject(), "what pods can do with their maps, and what is refused (runc 1.1); not in a user namespace, emptyDir on disk or in memory")
		rt.playVolumes(t, "runc", plainPods())
	}
}

func TestVolumesRunc24(t *testing.T) {
	if onNode(t) {
		needTokens(t)
		rt := newContainerd(t, "2.4")
		works(t, rt.subject(), "what pods can do with their maps, and what is refused (runc 1.5); "+everyKind)
		rt.playVolumes(t, "runc", everyPod())
	}
}

func TestVolumesCrun24(t *testing.T) {
	if onNode(t) {
		needTokens(t)
		hideUnified(t)
		rt := newContainerd(t, "2.4")
		works(t, rt.subject(), "what pods can do with their maps, and what is refused (crun 1.21); "+everyKind)
		rt.playVolumes(t, "crun", everyPod())
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

// playVolumes plays the life of a pod of each kind.
func (c *containerd) playVolumes(t *testing.T, handler string, kinds []volumePod) {
	t.Helper()
	kubeletOnDisk(t)
	c.network(t, conflist("1.0.0", volumes))
	neighbor, others := c.newNeighbor(t)
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			p := kind.run(t, c, handler)
			id := limitedTo(t, pinned(t, p.id), 7)
			for _, is := range processes(kind, handler) {
				is.abilities.limit, is.abilities.token = 7, kind.token
				t.Log(is.name)
				c.wantAbilities(t, p.mounter(t, is.name, is.security), others, is.abilities)
			}
			p.end(t)
			wantGone(t, id)
			p.wantNoVolume(t)
		})
	}
	neighbor.end(t)
	neighbor.wantNoVolume(t)
	nothingLeft(t)
}
