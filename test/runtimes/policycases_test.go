package runtimes

import (
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A podCase is a pod with one container more than it needs, of the kind that is
// named, and what the policy says of it.
type podCase struct {
	name      string
	hostUsers *bool
	volume    core.Volume
	kind      string // init or ephemeral; else it is an ordinary one
	security  core.SecurityContext
	refused   bool
}

func emptyDir(name string) core.Volume {
	return core.Volume{Name: name, VolumeSource: core.VolumeSource{EmptyDir: &core.EmptyDirVolumeSource{}}}
}

func adds(names ...core.Capability) core.SecurityContext {
	return core.SecurityContext{Capabilities: &core.Capabilities{Add: names}}
}

func privileged(is bool) core.SecurityContext { return core.SecurityContext{Privileged: &is} }

// pod returns the manifest of the pod, with the container or without it.
func (c podCase) pod(with bool) core.Pod {
	more := core.Container{Name: "more", Image: "example.com/image", SecurityContext: &c.security}
	p := core.Pod{
		TypeMeta:   meta.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: meta.ObjectMeta{Name: c.name, Namespace: "default"},
		Spec: core.PodSpec{
			HostUsers:  c.hostUsers,
			Volumes:    []core.Volume{emptyDir("scratch"), c.volume},
			Containers: []core.Container{{Name: "first", Image: "example.com/image"}},
		},
	}
	switch {
	case !with:
	case c.kind == "init":
		p.Spec.InitContainers = []core.Container{more}
	case c.kind == "ephemeral":
		p.Spec.EphemeralContainers = []core.EphemeralContainer{{EphemeralContainerCommon: core.EphemeralContainerCommon(more)}}
	default:
		p.Spec.Containers = append(p.Spec.Containers, more)
	}
	return p
}

// everyRight has each right in each kind of container and each user namespace.
func everyRight() (cases []podCase) {
	type right struct {
		name      string
		security  core.SecurityContext
		own, node bool // refused there
	}
	rights := []right{
		{"none", core.SecurityContext{}, false, false},
		{"privileged", privileged(true), true, true},
		{"not-privileged", privileged(false), false, false},
		{"all", adds("ALL"), true, true},
		{"sys-admin", adds("SYS_ADMIN"), true, true},
		{"perfmon", adds("PERFMON"), true, false},
		{"bpf", adds("BPF"), false, true},
		{"net-admin", adds("NET_ADMIN"), false, false},
	}
	for _, r := range rights {
		for _, kind := range []string{"ordinary", "init", "ephemeral"} {
			cases = append(cases,
				podCase{r.name + "-" + kind + "-own", new(false), emptyDir("bpffs"), kind, r.security, r.own},
				podCase{r.name + "-" + kind + "-node", new(true), emptyDir("bpffs"), kind, r.security, r.node},
				podCase{r.name + "-" + kind + "-unset", nil, emptyDir("bpffs"), kind, r.security, r.node},
				podCase{r.name + "-" + kind + "-no-volume", new(false), emptyDir("other"), kind, r.security, false})
		}
	}
	return cases
}

func volume(source core.VolumeSource) core.Volume {
	return core.Volume{Name: "bpffs", VolumeSource: source}
}

// otherCases are spellings of a capability, and volumes.
func otherCases() []podCase {
	return []podCase{
		{"with-prefix", new(false), emptyDir("bpffs"), "", adds("CAP_SYS_ADMIN"), true},
		{"in-lower-case", new(false), emptyDir("bpffs"), "", adds("sys_admin"), true},
		{"prefix-in-lower-case", new(false), emptyDir("bpffs"), "", adds("cap_perfmon"), true},
		{"mixed", new(false), emptyDir("bpffs"), "", adds("All"), true},
		{"dotless-i", new(false), emptyDir("bpffs"), "", adds("SYS_ADMıN"), true},
		{"long-s", new(false), emptyDir("bpffs"), "init", adds("ſys_admin"), true},
		{"long-s-node", nil, emptyDir("bpffs"), "ephemeral", adds("ſys_admin"), true},
		{"bpf-prefix-node", nil, emptyDir("bpffs"), "", adds("CAP_BPF"), true},
		{"among-others", new(false), emptyDir("bpffs"), "", adds("BPF", "NET_ADMIN", "PERFMON"), true},
		{"token-pod", new(false), emptyDir("bpffs"), "", adds("BPF", "NET_ADMIN"), false},
		{"part-of-a-name", new(false), emptyDir("bpffs"), "", adds("SYS_ADMINISTRATOR", "SYSLOG"), false},
		{"part-of-a-name-node", nil, emptyDir("bpffs"), "", adds("BPFS", "SYS_ADMINISTRATOR", "ALLOW"), false},
		{"small-letters-of-another", new(false), emptyDir("bpffs"), "", adds("net_admin"), true},
		{"only-dropped", new(false), emptyDir("bpffs"), "", core.SecurityContext{Capabilities: &core.Capabilities{Drop: []core.Capability{"ALL"}}}, false},
		{"in-memory", new(false), volume(core.VolumeSource{EmptyDir: &core.EmptyDirVolumeSource{Medium: core.StorageMediumMemory}}), "", privileged(true), true},
		{"no-source", new(false), volume(core.VolumeSource{}), "", privileged(true), true}, // the API server makes it an emptyDir
		{"host-path", nil, volume(core.VolumeSource{HostPath: &core.HostPathVolumeSource{Path: "/sys/fs/bpf"}}), "", privileged(true), false},
		{"config-map", new(false), volume(core.VolumeSource{ConfigMap: &core.ConfigMapVolumeSource{LocalObjectReference: core.LocalObjectReference{Name: "bpffs"}}}), "", privileged(true), false},
		{"projected", new(false), volume(core.VolumeSource{Projected: &core.ProjectedVolumeSource{}}), "", privileged(true), false},
		{"csi", nil, volume(core.VolumeSource{CSI: &core.CSIVolumeSource{Driver: "csi.example.com"}}), "", privileged(true), false},
		{"longer-name", new(false), emptyDir("bpffs-2"), "", privileged(true), false},
	}
}
