package runtimes

import (
	"strings"
	"testing"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The policy that refuses pods which must not have a pod volume. An API server creates
// it, and asks it about pods.

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

// TestPodVolumePolicy asks the policy about pods.
func TestPodVolumePolicy(t *testing.T) {
	needCluster(t)
	if !onNode(t) {
		return
	}
	pods := startPodAPI(t)
	pods.enforce(t, policyAsItIs, refusedPod())
	for _, c := range append(everyRight(), otherCases()...) {
		pods.judge(t, c, c.pod(true), "container more is privileged or adds SYS_ADMIN, ")
	}
}

// judge wants the policy to refuse the pod because of its volume, if that is the case,
// and else to let it pass.
func (a podAPI) judge(t *testing.T, c podCase, p core.Pod, because string) {
	t.Helper()
	if c.kind == "ephemeral" {
		there := a.create(t, c.pod(false))
		p.UID = there.UID
	}
	want := ""
	if c.refused {
		want = "volume " + c.volume.Name + ": " + because
	}
	if got := policySays(t, a.try(t, p)); !strings.HasPrefix(got, want) || want == "" && got != "" {
		t.Errorf("pod %s: the policy says %q, want %q", c.name, got, want)
	}
}

// TestPodVolumePolicyOnUpdates wants it to judge every new specification, and to
// leave in peace what was there before it.
func TestPodVolumePolicyOnUpdates(t *testing.T) {
	needCluster(t)
	if !onNode(t) {
		return
	}
	pods := startPodAPI(t)
	old := refusedPod()
	old.Finalizers = []string{"example.com/job"}
	there := pods.create(t, old)
	pods.enforce(t, policyAsItIs, refusedPod())
	for _, tt := range []struct {
		name    string
		change  func(*core.Pod)
		refused bool
	}{
		{"labelled", func(p *core.Pod) { p.Labels = map[string]string{"app": "web"} }, false},
		{"finalized", func(p *core.Pod) { p.Finalizers = nil }, false},
		{"image", func(p *core.Pod) { p.Spec.Containers[0].Image = "example.com/other" }, true},
		{"deadline", func(p *core.Pod) { p.Spec.ActiveDeadlineSeconds = new(int64(60)) }, true},
	} {
		p := *there.DeepCopy()
		tt.change(&p)
		if got := policySays(t, pods.try(t, p)); (got != "") != tt.refused {
			t.Errorf("a pod from before the policy, %s: the policy says %q, want a refusal: %v", tt.name, got, tt.refused)
		}
	}
}

// TestPodVolumePolicyOnHostPaths wants no directory of the node beside a token.
func TestPodVolumePolicyOnHostPaths(t *testing.T) {
	needCluster(t)
	if !onNode(t) {
		return
	}
	pods := startPodAPI(t)
	pods.enforce(t, policyAsItIs, refusedPod())
	for _, c := range []podCase{
		{"own-users", new(false), emptyDir("bpffs"), "", core.SecurityContext{}, true},
		{"own-users-init", new(false), emptyDir("bpffs"), "init", adds("BPF"), true},
		{"own-users-no-volume", new(false), emptyDir("other"), "", core.SecurityContext{}, false},
		{"node-users", nil, emptyDir("bpffs"), "", core.SecurityContext{}, false},
	} {
		p := c.pod(true)
		p.Spec.Volumes = append(p.Spec.Volumes, core.Volume{Name: "host", VolumeSource: core.VolumeSource{
			HostPath: &core.HostPathVolumeSource{Path: "/run"},
		}})
		pods.judge(t, c, p, "the pod has a hostPath")
	}
}

// TestPodVolumePolicyForOtherNames is the patch of docs/pods.md.
func TestPodVolumePolicyForOtherNames(t *testing.T) {
	needCluster(t)
	if !onNode(t) {
		return
	}
	pods := startPodAPI(t)
	cases := []podCase{
		{"maps", new(false), emptyDir("maps"), "", privileged(true), true},
		{"flows", nil, emptyDir("flows"), "", adds("BPF"), true},
		{"bpffs", new(false), emptyDir("bpffs"), "", privileged(true), false},
	}
	pods.enforce(t, policyAsItIs+patchOfPodsPage(t), cases[0].pod(true))
	for _, c := range cases {
		pods.judge(t, c, c.pod(true), "container more is privileged or adds SYS_ADMIN, ")
	}
}

// patchOfPodsPage returns what docs/pods.md has for other names of volumes.
func patchOfPodsPage(t *testing.T) string {
	t.Helper()
	for _, text := range snippets(t, podsPage, "yaml") {
		if strings.HasPrefix(text, "patches:\n") {
			return text
		}
	}
	t.Fatal("docs/pods.md: got no patch of the policy, want one")
	return ""
}

// TestPodVolumePolicyIsChecked wants faults in the expressions to be found.
func TestPodVolumePolicyIsChecked(t *testing.T) {
	needCluster(t)
	if !onNode(t) {
		return
	}
	startAPIServer(t)
	objects := string(policy(t, policyAsItIs))
	for _, tt := range []struct{ name, from, to, want string }{
		{"a variable that there is not", "variables.hostUsers ||", "variables.users ||", "undefined field 'users'"},
		{"no expression", "oldObject == null", "oldObject ===", "Syntax error"},
		{"no boolean", "variables.hostUsers || variables.refused.size() == 0", "variables.refused.size()", "must evaluate to bool"},
		{"another policy", "policyName: bpffs-pod-volume", "policyName: ''", "spec.policyName: Required value"},
	} {
		changed := strings.Replace(objects, tt.from, tt.to, 1)
		a := create(t, []byte(changed))
		if a.Status == 0 || !strings.Contains(a.Stderr, tt.want) || changed == objects {
			t.Errorf("%s: got %+v, want an error with %q", tt.name, a, tt.want)
		}
	}
	startControllers(t)
	changed := strings.NewReplacer("has(v.hostPath)", "has(v.hostPaths)", podVolumePolicy, "changed").Replace(objects)
	mustInput(t, []byte(objects), "create", "-f", "-")
	mustInput(t, []byte(changed), "create", "-f", "-")
	if says := typeCheck(t, podVolumePolicy); strings.Contains(says, "warning") {
		t.Errorf("types of the policy: got %s, want no warning", says)
	}
	if says := typeCheck(t, "changed"); !strings.Contains(says, "undefined field 'hostPaths'") {
		t.Errorf("types of a policy with a field that there is not: got %s, want a warning", says)
	}
}

// typeCheck waits until the controller that checks the types of a policy's validations
// has done so, and returns the status of the policy.
func typeCheck(t *testing.T, policy string) (status string) {
	t.Helper()
	waitWithin(t, clusterTime, "the types of the policy "+policy, func() bool {
		status = mustKubectl(t, "get", "validatingadmissionpolicy", policy, "-o", "jsonpath={.status}")
		return strings.Contains(status, "observedGeneration")
	})
	return status
}

const (
	podVolumePolicy = "bpffs-pod-volume"
	policyAsItIs    = "components: [deploy/" + podVolume + "]\n"
)

// refusedPod returns one that the policy refuses.
func refusedPod() core.Pod {
	return podCase{name: "refused", volume: emptyDir("bpffs"), hostUsers: new(false), security: adds("SYS_ADMIN")}.pod(true)
}

// policy renders the component in an overlay of somebody's own.
func policy(t *testing.T, kustomization string) []byte {
	t.Helper()
	return kubernetesObjects(t, ownOverlay(t, kustomization))
}

// enforce creates the policy in an overlay of somebody's own, and waits until the API
// server refuses the pod.
func (a podAPI) enforce(t *testing.T, kustomization string, refused core.Pod) {
	t.Helper()
	refused.Name = "awaited"
	mustInput(t, policy(t, kustomization), "create", "-f", "-")
	waitWithin(t, clusterTime, "the policy", func() bool { return policySays(t, a.try(t, refused)) != "" })
}

// policySays returns the message of the policy, if that is the error. Any other error
// is not expected.
func policySays(t *testing.T, err error) string {
	t.Helper()
	if err == nil {
		return ""
	}
	_, message, refused := strings.Cut(err.Error(), " is forbidden: ValidatingAdmissionPolicy '"+podVolumePolicy+"' with binding '"+podVolumePolicy+"' denied request: ")
	if !refused {
		t.Errorf("got %v, want nothing but refusals of the policy", err)
	}
	return message
}
