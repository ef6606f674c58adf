package runtimes

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// The policy that refuses pods which must not have a pod volume. An API server's
// code creates it, checks the types of its expressions, and asks it.

const podVolume = "components/pod-volume"

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

// TestPodVolumePolicy asks the policy about pods, all in one go.
func TestPodVolumePolicy(t *testing.T) {
	needAPIServer(t)
	cases := append(everyRight(), otherCases()...)
	var pods []any
	for _, c := range cases {
		if c.kind == "ephemeral" {
			pods = append(pods, c.pod(false))
		}
		pods = append(pods, c.pod(true))
	}
	said := ask(t, policy(t, "components: [%s]\n"), pods)
	for _, c := range cases {
		got, want := said[c.name], ""
		if c.refused {
			want = "volume bpffs: container more is privileged or adds SYS_ADMIN, "
		}
		if !strings.HasPrefix(got, want) || want == "" && got != "" {
			t.Errorf("pod %s: the policy says %q, want %q", c.name, got, want)
		}
	}
}

// TestPodVolumePolicyOnUpdates wants it to judge every new specification, and to
// leave in peace what was there before it.
func TestPodVolumePolicyOnUpdates(t *testing.T) {
	needAPIServer(t)
	old := podCase{volume: emptyDir("bpffs"), hostUsers: new(false), security: adds("SYS_ADMIN")}
	cases := []struct {
		name    string
		change  func(*core.Pod)
		refused bool
	}{
		{"labelled", func(p *core.Pod) { p.Labels = map[string]string{"app": "web"} }, false},
		{"finalized", func(p *core.Pod) { p.Finalizers = nil }, false},
		{"image", func(p *core.Pod) { p.Spec.Containers[0].Image = "example.com/other" }, true},
		{"deadline", func(p *core.Pod) { p.Spec.ActiveDeadlineSeconds = new(int64(60)) }, true},
	}
	var before, after []any
	for _, c := range cases {
		old.name = c.name
		p := old.pod(true)
		p.Finalizers = []string{"example.com/job"}
		before = append(before, p)
		changed := *p.DeepCopy()
		c.change(&changed)
		after = append(after, changed)
	}
	said := ask(t, append(documents(t, before), policy(t, "components: [%s]\n")...), after)
	for _, c := range cases {
		if got := said[c.name]; (got != "") != c.refused {
			t.Errorf("a pod from before the policy, %s: the policy says %q, want a refusal: %v", c.name, got, c.refused)
		}
	}
}

// TestPodVolumePolicyOnHostPaths wants no directory of the node beside a token.
func TestPodVolumePolicyOnHostPaths(t *testing.T) {
	needAPIServer(t)
	cases := []podCase{
		{"own-users", new(false), emptyDir("bpffs"), "", core.SecurityContext{}, true},
		{"own-users-init", new(false), emptyDir("bpffs"), "init", adds("BPF"), true},
		{"own-users-no-volume", new(false), emptyDir("other"), "", core.SecurityContext{}, false},
		{"node-users", nil, emptyDir("bpffs"), "", core.SecurityContext{}, false},
	}
	var pods []any
	for _, c := range cases {
		p := c.pod(true)
		p.Spec.Volumes = append(p.Spec.Volumes, core.Volume{Name: "host", VolumeSource: core.VolumeSource{
			HostPath: &core.HostPathVolumeSource{Path: "/run"},
		}})
		pods = append(pods, p)
	}
	said := ask(t, policy(t, "components: [%s]\n"), pods)
	for _, c := range cases {
		got := said[c.name]
		if (got != "") != c.refused || c.refused && !strings.HasPrefix(got, "volume bpffs: the pod has a hostPath") {
			t.Errorf("%s with a hostPath: the policy says %q, want a refusal: %t", c.name, got, c.refused)
		}
	}
}

// TestPodVolumePolicyForOtherNames is the patch of docs/pods.md.
func TestPodVolumePolicyForOtherNames(t *testing.T) {
	needAPIServer(t)
	said := ask(t, policy(t, `components: [%s]
patches:
  - target: {kind: ValidatingAdmissionPolicy, name: bpffs-pod-volume}
    patch: |-
      - {op: replace, path: /spec/variables/0/expression, value: "['maps', 'flows']"}
`), []any{
		podCase{"maps", new(false), emptyDir("maps"), "", privileged(true), true}.pod(true),
		podCase{"flows", nil, emptyDir("flows"), "", adds("BPF"), true}.pod(true),
		podCase{"bpffs", new(false), emptyDir("bpffs"), "", privileged(true), false}.pod(true),
	})
	if said["maps"] == "" || said["flows"] == "" || said["bpffs"] != "" {
		t.Errorf("policy for the names maps and flows: it says %q, want these two refused", said)
	}
}

// TestPodVolumePolicyIsChecked wants faults in the expressions to be found.
func TestPodVolumePolicyIsChecked(t *testing.T) {
	needAPIServer(t)
	objects := string(policy(t, "components: [%s]\n"))
	for _, tt := range []struct{ name, from, to, want string }{
		{"a field that there is not", "has(v.emptyDir)", "has(v.emptyDirectory)", "undefined field 'emptyDirectory'"},
		{"a variable that there is not", "variables.hostUsers ||", "variables.users ||", "undefined field 'users'"},
		{"no expression", "oldObject == null", "oldObject ===", "Syntax error"},
		{"no boolean", "variables.hostUsers || variables.refused.size() == 0", "variables.refused.size()", "must evaluate to bool"},
		{"another policy", "policyName: bpffs-pod-volume", "policyName: ''", "spec.policyName: Required value"},
	} {
		changed := strings.Replace(objects, tt.from, tt.to, 1)
		out, err := create([]byte(changed))
		if err == nil || !strings.Contains(string(out), tt.want) || changed == objects {
			t.Errorf("%s: got %v: %s, want an error with %q", tt.name, err, out, tt.want)
		}
	}
}

// policy renders the component in an overlay of somebody's own, which is given as
// the format of its kustomization.yaml.
func policy(t *testing.T, kustomization string) []byte {
	t.Helper()
	deploy, err := filepath.Abs(filepath.Join(top, "deploy"))
	testns.Must(t, err)
	tmp := t.TempDir()
	component, err := filepath.Rel(tmp, filepath.Join(deploy, podVolume))
	testns.Must(t, err)
	write(t, filepath.Join(tmp, "kustomization.yaml"), fmt.Sprintf(kustomization, component))
	dir, err := filepath.Rel(deploy, tmp)
	testns.Must(t, err)
	return kubernetesObjects(t, dir)
}

func documents(t *testing.T, objects []any) []byte {
	t.Helper()
	var b bytes.Buffer
	for _, o := range objects {
		text, err := yaml.Marshal(o)
		testns.Must(t, err)
		fmt.Fprintf(&b, "%s---\n", text)
	}
	return b.Bytes()
}

// ask returns the policy's messages by the names of the pods that it refuses, after
// what was there before.
func ask(t *testing.T, before []byte, pods []any) map[string]string {
	t.Helper()
	out, err := create(bytes.Join([][]byte{before, documents(t, pods)}, []byte("---\n")))
	said := make(map[string]string)
	if err == nil {
		return said
	}
	for line := range strings.Lines(string(out)) {
		head, message, refused := strings.Cut(line, `" is forbidden: ValidatingAdmissionPolicy 'bpffs-pod-volume' with binding 'bpffs-pod-volume' denied request: `)
		if !refused {
			t.Errorf("got %q, want nothing but refusals", line)
			continue
		}
		said[strings.TrimPrefix(head, `pods "`)] = strings.TrimSpace(message)
	}
	return said
}
