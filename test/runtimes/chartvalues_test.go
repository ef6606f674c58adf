package runtimes

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admission "k8s.io/api/admissionregistration/v1"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// TestChartValues wants each value that has no counterpart in deploy/ to change what
// it is for, and nothing else.
func TestChartValues(t *testing.T) {
	container := func(d *apps.DaemonSet) *core.Container { return &d.Spec.Template.Spec.Containers[0] }
	arg := func(flag string) func(*apps.DaemonSet) {
		return func(d *apps.DaemonSet) { container(d).Args = append(container(d).Args, flag) }
	}
	digest := "sha256:" + strings.Repeat("0f", 32)
	for _, tt := range []struct {
		values string
		change func(*apps.DaemonSet)
	}{
		{"image: {digest: '" + digest + "'}", func(d *apps.DaemonSet) { container(d).Image = "ghcr.io/cni-bpffs/bpffs@" + digest }},
		{"network: cbr0", arg("--network=cbr0")},
		{"network: 'a: b'", arg("--network=a: b")},
		{"mode: drop-in", arg("--mode=drop-in")},
		{"metrics: 127.0.0.1:9440", arg("--metrics=127.0.0.1:9440")},
		{"metrics: '[::1]:9440'", arg("--metrics=[::1]:9440")},
		{"metrics: ':9440'", arg("--metrics=:9440")},
		{"gc: false", func(d *apps.DaemonSet) {
			c := container(d)
			c.Args = slices.DeleteFunc(c.Args, func(arg string) bool { return arg == "--gc" || arg == "--node-root=/host" })
			c.VolumeMounts = slices.DeleteFunc(c.VolumeMounts, func(m core.VolumeMount) bool {
				return strings.HasPrefix(m.MountPath, "/host/sys/") || m.Name == "netns"
			})
			d.Spec.Template.Spec.Volumes = slices.DeleteFunc(d.Spec.Template.Spec.Volumes, func(v core.Volume) bool { return v.Name == "node-bpffs" || v.Name == "netns" })
		}},
		{"resources: {limits: {memory: 64Mi}}", func(d *apps.DaemonSet) {
			container(d).Resources.Limits[core.ResourceMemory] = resource.MustParse("64Mi")
		}},
		{"nodeSelector: {pool: 'true'}", func(d *apps.DaemonSet) { d.Spec.Template.Spec.NodeSelector["pool"] = "true" }},
		{"affinity: {nodeAffinity: {}}", func(d *apps.DaemonSet) {
			d.Spec.Template.Spec.Affinity = &core.Affinity{NodeAffinity: &core.NodeAffinity{}}
		}},
		{"tolerations: []", func(d *apps.DaemonSet) { d.Spec.Template.Spec.Tolerations = nil }},
		{"maxUnavailable: 1000000", func(d *apps.DaemonSet) {
			d.Spec.UpdateStrategy.RollingUpdate.MaxUnavailable = new(intstr.FromInt32(1000000))
		}},
		{"maxUnavailable: 10%", func(d *apps.DaemonSet) {
			d.Spec.UpdateStrategy.RollingUpdate.MaxUnavailable = new(intstr.FromString("10%"))
		}},
	} {
		want, got := chart(t), chart(t, values(t, tt.values))
		tt.change(want.daemonSet)
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(deployment{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.values, diff)
		}
	}
}

// TestChartConfig: another bpffs.json replaces the pods, and has numbers as they are.
func TestChartConfig(t *testing.T) {
	hash := func(d deployment) string { return d.daemonSet.Spec.Template.Annotations[hashOfConfig] }
	one, other := chart(t), chart(t, "--set-json=config.maps=[]")
	if hash(one) == "" || hash(one) == hash(other) {
		t.Errorf("two configurations: got the hashes %q and %q, want two", hash(one), hash(other))
	}
	const want = `{"capabilities":{"any":true},"mapPrefix":"x","maps":[{"maxEntries":134217728,"name":"a_"}],"type":"bpffs"}`
	got := chart(t, values(t, "config: {capabilities: {any: true}, mapPrefix: x, maps: [{name: a_, maxEntries: 134217728}]}"))
	if has := sorted(t, got.config.Data["bpffs.json"]); has != want {
		t.Errorf("bpffs.json: got %s, want %s", has, want)
	}
}

// TestChartRoot: the pods have the bpffs that the configuration names.
func TestChartRoot(t *testing.T) {
	pod := chart(t, "--set=config.bpfRoot=/run/bpf").daemonSet.Spec.Template.Spec
	is := func(m core.VolumeMount) bool { return m.Name == "node-bpffs" && m.MountPath == "/host/run/bpf" }
	made := core.HostPathDirectoryOrCreate
	volume := core.Volume{Name: "node-bpffs", VolumeSource: core.VolumeSource{HostPath: &core.HostPathVolumeSource{Path: "/run/bpf", Type: &made}}}
	if !slices.ContainsFunc(pod.Containers[0].VolumeMounts, is) || !slices.ContainsFunc(pod.Volumes, func(v core.Volume) bool { return cmp.Equal(v, volume) }) {
		t.Errorf("bpfRoot /run/bpf: got %+v and %+v, want it below /host", pod.Volumes, pod.Containers[0].VolumeMounts)
	}
}

// TestChartNamespace: the objects are in the namespace of the release.
func TestChartNamespace(t *testing.T) {
	text, err := helmTemplate(t, chartDir, platforms(t)["openshift"], "--namespace=other")
	testns.Must(t, err)
	d := deploymentOf(t, "the chart in other", printedObjects(text))
	checkReferences(t, d)
	if user := "system:serviceaccount:other:bpffs"; len(d.other) != 1 || !strings.Contains(d.other[0], user) || strings.Contains(text, "kube-system") {
		t.Errorf("in the namespace other: got %s, want everything to be there, and %s", text, user)
	}
}

// TestChartPolicy: the policy comes with a pod volume, and knows all names.
func TestChartPolicy(t *testing.T) {
	for _, tt := range []struct{ values, names string }{
		{"config: {podVolume: ''}", ""},
		{"config: {podVolume: maps}", "['maps']"},
		{"config: {podVolume: maps}\npolicy: {podVolumes: [flows, maps]}", "['maps', 'flows']"},
		{"policy: {podVolumes: [flows]}", "['flows']"},
		{"config: {podVolume: maps}\npolicy: {enabled: false}", ""},
	} {
		policies := chart(t, values(t, tt.values)).policies
		if tt.names == "" {
			if len(policies) != 0 {
				t.Errorf("%s: got %d policies and bindings, want none", tt.values, len(policies))
			}
			continue
		}
		if p, ok := policies[0].(*admission.ValidatingAdmissionPolicy); !ok || len(policies) != 2 || p.Spec.Variables[0].Expression != tt.names {
			t.Errorf("%s: got %+v, want a policy for %s and its binding", tt.values, policies, tt.names)
		}
	}
}
