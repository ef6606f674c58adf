package runtimes

import (
	"strings"
	"testing"

	core "k8s.io/api/core/v1"
)

// The policy that refuses pods which must not have a pod volume. An API server creates
// it, and asks it about pods.

// TestPodVolumePolicy asks the policy about pods.
func TestPodVolumePolicy(t *testing.T) {
	needCluster(t)
	if !onNode(t) {
		return
	}
	pods := startPodServer(t)
	pods.enforce(t, policyAsItIs, refusedPod())
	for _, c := range append(everyRight(), otherCases()...) {
		pods.judge(t, c, c.pod(true), "container more is privileged or adds SYS_ADMIN, ")
	}
}

// judge wants the policy to refuse the pod because of its volume, if that is the case,
// and else to let it pass.
func (a podServer) judge(t *testing.T, c podCase, p core.Pod, because string) {
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
	pods := startPodServer(t)
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
	pods := startPodServer(t)
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
	pods := startPodServer(t)
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
	podVolume       = "components/pod-volume"
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
func (a podServer) enforce(t *testing.T, kustomization string, refused core.Pod) {
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
