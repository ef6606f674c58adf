package runtimes

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admission "k8s.io/api/admissionregistration/v1"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// The manifests in deploy/: they are rendered as "kubectl apply -k" does it, and
// decoded as strictly as an API server can be told to.

// otherOwner is the component for nodes whose directories are not root's.
const otherOwner = "components/other-owner"

// render returns the objects of a directory in deploy/.
func render(t *testing.T, dir string) [][]byte {
	t.Helper()
	all, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), filepath.Join(top, "deploy", dir))
	testns.Must(t, err)
	var objects [][]byte
	for _, r := range all.Resources() {
		text, err := r.AsYAML()
		testns.Must(t, err)
		objects = append(objects, text)
	}
	return objects
}

// decode decodes an object of Kubernetes' own, and refuses fields that are not
// known or are there twice.
func decode(text []byte) (runtime.Object, error) {
	codecs := serializer.NewCodecFactory(scheme.Scheme, serializer.EnableStrict)
	o, _, err := codecs.UniversalDeserializer().Decode(text, nil, nil)
	return o, err
}

func isOpenShift(text []byte) bool {
	return bytes.Contains(text, []byte("apiVersion: security.openshift.io/"))
}

// A deployment is what is to be known of a directory in deploy/.
type deployment struct {
	daemonSet *apps.DaemonSet
	config    *core.ConfigMap
	account   *core.ServiceAccount
	policies  []runtime.Object // and their bindings
	other     []string         // objects that are not Kubernetes' own
}

func deploymentIn(t *testing.T, dir string) deployment {
	t.Helper()
	return deploymentOf(t, "deploy/"+dir, render(t, dir))
}

// deploymentOf sorts objects; errors call them what.
func deploymentOf(t *testing.T, what string, objects [][]byte) (d deployment) {
	t.Helper()
	for _, text := range objects {
		if isOpenShift(text) {
			d.other = append(d.other, string(text))
			continue
		}
		o, err := decode(text)
		if err != nil {
			t.Fatalf("%s: %v:\n%s", what, err, text)
		}
		switch o := o.(type) {
		case *apps.DaemonSet:
			d.daemonSet = o
		case *core.ConfigMap:
			d.config = o
		case *core.ServiceAccount:
			d.account = o
		case *admission.ValidatingAdmissionPolicy, *admission.ValidatingAdmissionPolicyBinding:
			d.policies = append(d.policies, o)
		default:
			t.Errorf("%s: got a %T, want what a test knows", what, o)
		}
	}
	if d.daemonSet == nil || d.config == nil || d.account == nil {
		t.Fatalf("%s: got %+v, want a DaemonSet, a ConfigMap and a ServiceAccount", what, d)
	}
	return d
}

// hostPaths returns the directories of the node that a DaemonSet mounts, by the
// names of the volumes.
func hostPaths(d *apps.DaemonSet) map[string]string {
	paths := make(map[string]string)
	for _, v := range d.Spec.Template.Spec.Volumes {
		if v.HostPath != nil {
			paths[v.Name] = v.HostPath.Path
		}
	}
	return paths
}

func TestManifests(t *testing.T) {
	for _, tt := range []struct{ dir, bin, conf string }{
		{"base", "/opt/cni/bin", "/etc/cni/net.d"},
		{"overlays/kubeadm", "/opt/cni/bin", "/etc/cni/net.d"},
		{"overlays/k3s", "/var/lib/rancher/k3s/data/cni", "/var/lib/rancher/k3s/agent/etc/cni/net.d"},
		{"overlays/microk8s", "/var/snap/microk8s/current/opt/cni/bin", "/var/snap/microk8s/current/args/cni-network"},
		{"overlays/gke", "/home/kubernetes/bin", "/etc/cni/net.d"},
		{"overlays/openshift", "/var/lib/cni/bin", "/run/multus/cni/net.d"},
	} {
		t.Run(tt.dir, func(t *testing.T) {
			d := deploymentIn(t, tt.dir)
			want := map[string]string{"bin": tt.bin, "conf": tt.conf, "node-bpffs": "/sys/fs/bpf", "netns": "/run/netns"}
			if diff := cmp.Diff(want, hostPaths(d.daemonSet)); diff != "" {
				t.Errorf("directories of the node (-want +got):\n%s", diff)
			}
			args := strings.Join(d.daemonSet.Spec.Template.Spec.Containers[0].Args, " ")
			if chain := strings.HasSuffix(args, " --network=vendor-cni-chain --mode=drop-in"); chain != strings.HasSuffix(tt.dir, "openshift") {
				t.Errorf("arguments: got %s, want Multus' auxiliary chain on OpenShift only", args)
			}
			checkRights(t, d)
			checkReferences(t, d)
			checkMounts(t, d.daemonSet.Spec.Template.Spec.Containers[0])
		})
	}
}

// checkMounts wants what comes and goes on the node to do so in the pods, and to be
// where --node-root says; and nothing of the pods to get onto the node.
func checkMounts(t *testing.T, c core.Container) {
	t.Helper()
	if !slices.Contains(c.Args, "--gc") || !slices.Contains(c.Args, "--node-root=/host") {
		t.Errorf("arguments: got %q, want --gc and --node-root=/host", c.Args)
	}
	moving := map[string]core.VolumeMount{
		"node-bpffs": {Name: "node-bpffs", MountPath: "/host/sys/fs/bpf"},
		"netns":      {Name: "netns", MountPath: "/host/run/netns", ReadOnly: true},
	}
	receives := core.MountPropagationHostToContainer
	for _, m := range c.VolumeMounts {
		want, ok := moving[m.Name]
		want.MountPropagation = &receives
		if diff := cmp.Diff(want, m); ok && diff != "" || !ok && m.MountPropagation != nil {
			t.Errorf("the mount %s (-want +got):\n%s", m.Name, diff)
		}
		delete(moving, m.Name)
	}
	if len(moving) > 0 {
		t.Errorf("mounts: got none of %v", moving)
	}
}

// checkRights wants the pods to have no right that they do not need.
func checkRights(t *testing.T, d deployment) {
	t.Helper()
	pod := d.daemonSet.Spec.Template.Spec
	c := pod.Containers[0].SecurityContext
	for fault, is := range map[string]bool{
		"several containers":           len(pod.Containers) != 1 || len(pod.InitContainers) != 0,
		"a privileged container":       *c.Privileged,
		"more privileges later":        *c.AllowPrivilegeEscalation,
		"a root that can be written":   !*c.ReadOnlyRootFilesystem,
		"capabilities":                 !slices.Equal(c.Capabilities.Drop, []core.Capability{"ALL"}) || len(c.Capabilities.Add) > 0,
		"another user than root":       *pod.SecurityContext.RunAsUser != 0,
		"no seccomp profile":           pod.SecurityContext.SeccompProfile.Type != core.SeccompProfileTypeRuntimeDefault,
		"the node's processes or IPC":  pod.HostPID || pod.HostIPC,
		"a token of the API server":    *pod.AutomountServiceAccountToken || *d.account.AutomountServiceAccountToken,
		"no limit of memory":           pod.Containers[0].Resources.Limits.Memory().IsZero(),
		"nodes on which it cannot run": len(pod.Tolerations) != 1 || pod.Tolerations[0] != core.Toleration{Operator: core.TolerationOpExists},
		"a network of its own":         !pod.HostNetwork,
		"no priority":                  pod.PriorityClassName != "system-node-critical",
		"no probe":                     pod.Containers[0].ReadinessProbe == nil || pod.Containers[0].LivenessProbe == nil,
		"a port of the node":           len(pod.Containers[0].Ports) != 0,
	} {
		if is {
			t.Errorf("the pods: got %s, want none", fault)
		}
	}
}

// checkReferences wants what the objects name to be there.
func checkReferences(t *testing.T, d deployment) {
	t.Helper()
	pod := d.daemonSet.Spec.Template.Spec
	if pod.ServiceAccountName != d.account.Name || d.account.Namespace != d.daemonSet.Namespace {
		t.Errorf("account of the pods: got %s, want %s, in their namespace", pod.ServiceAccountName, d.account.Name)
	}
	for _, v := range pod.Volumes {
		if v.ConfigMap != nil && v.ConfigMap.Name != d.config.Name {
			t.Errorf("configuration of the pods: got %s, want %s", v.ConfigMap.Name, d.config.Name)
		}
	}
	if !json.Valid([]byte(d.config.Data["bpffs.json"])) {
		t.Errorf("configuration: got %q, want JSON", d.config.Data)
	}
	labels := d.daemonSet.Spec.Template.Labels
	for key, value := range d.daemonSet.Spec.Selector.MatchLabels {
		if labels[key] != value {
			t.Errorf("labels of the pods: got %v, want %s=%s, as the selector has it", labels, key, value)
		}
	}
}

// withComponent makes an overlay of somebody's own, and returns its directory.
func withComponent(t *testing.T, overlay, component string) (dir string) {
	t.Helper()
	return ownOverlay(t, fmt.Sprintf("resources: [deploy/%s]\ncomponents: [deploy/%s]\n", overlay, component))
}

// ownOverlay makes an overlay of a text that names what is in deploy/, and returns
// its directory.
func ownOverlay(t *testing.T, text string) (dir string) {
	t.Helper()
	deploy, err := filepath.Abs(filepath.Join(top, "deploy"))
	testns.Must(t, err)
	tmp := t.TempDir()
	up, err := filepath.Rel(tmp, deploy)
	testns.Must(t, err)
	write(t, filepath.Join(tmp, "kustomization.yaml"), strings.ReplaceAll(text, "deploy/", up+"/"))
	dir, err = filepath.Rel(deploy, tmp)
	testns.Must(t, err)
	return dir
}

// TestComponents wants each to change what it is for, and nothing else.
func TestComponents(t *testing.T) {
	for _, tt := range []struct {
		overlay, component string
		change             func(*core.SecurityContext)
		policies           int
	}{
		{"overlays/kubeadm", otherOwner, mayWriteEverywhere, 0},
		{"overlays/k3s", otherOwner, mayWriteEverywhere, 0},
		{"overlays/k3s", "components/selinux", func(c *core.SecurityContext) { c.SELinuxOptions = &core.SELinuxOptions{Type: "spc_t"} }, 0},
		{"overlays/kubeadm", podVolume, func(*core.SecurityContext) {}, 2},
	} {
		want, got := deploymentIn(t, tt.overlay), deploymentIn(t, withComponent(t, tt.overlay, tt.component))
		tt.change(want.daemonSet.Spec.Template.Spec.Containers[0].SecurityContext)
		if diff := cmp.Diff(want.daemonSet, got.daemonSet); diff != "" {
			t.Errorf("%s with %s (-want +got):\n%s", tt.overlay, tt.component, diff)
		}
		if len(got.policies) != tt.policies {
			t.Errorf("%s with %s: got %d policies and bindings, want %d", tt.overlay, tt.component, len(got.policies), tt.policies)
		}
	}
}

func mayWriteEverywhere(c *core.SecurityContext) {
	c.Capabilities.Add = []core.Capability{"DAC_OVERRIDE", "CHOWN", "FOWNER"}
}

func TestManifestsAreDecodedStrictly(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(top, "deploy/base/daemonset.yaml"))
	testns.Must(t, err)
	for _, change := range [][2]string{
		{"readOnlyRootFilesystem:", "readonlyRootFilesystem:"},
		{"maxUnavailable: 1", "maxUnavailable: [1]"},
		{"hostNetwork: true", "hostNetwork: true\n      hostNetwork: false"},
	} {
		changed := strings.Replace(string(text), change[0], change[1], 1)
		if _, err := decode([]byte(changed)); err == nil || changed == string(text) {
			t.Errorf("with %q instead of %q: got the error %v, want one", change[1], change[0], err)
		}
	}
	if _, err := decode(text); err != nil {
		t.Errorf("unchanged: got the error %v, want none", err)
	}
}

// The fields that an SCC of OpenShift has here (security.openshift.io/v1): its
// types are no part of Kubernetes.
type securityContextConstraints struct {
	APIVersion, Kind            string
	Metadata                    struct{ Name string }
	AllowPrivilegedContainer    bool
	AllowPrivilegeEscalation    bool
	AllowHostDirVolumePlugin    bool
	AllowHostNetwork            bool
	AllowHostPorts              bool
	AllowHostPID, AllowHostIPC  bool
	ReadOnlyRootFilesystem      bool
	RequiredDropCapabilities    []string
	RunAsUser, SELinuxContext   struct{ Type string }
	FSGroup, SupplementalGroups struct{ Type string }
	SeccompProfiles             []string
	Volumes, Users, Groups      []string
}

func TestSecurityContextConstraints(t *testing.T) {
	d := deploymentIn(t, "overlays/openshift")
	if len(d.other) != 1 {
		t.Fatalf("got %d objects of OpenShift, want 1", len(d.other))
	}
	var scc securityContextConstraints
	testns.Must(t, yaml.UnmarshalStrict([]byte(d.other[0]), &scc))
	if options := d.daemonSet.Spec.Template.Spec.Containers[0].SecurityContext.SELinuxOptions; options == nil || options.Type != "spc_t" {
		t.Errorf("label of the pods: got %v, want spc_t", options)
	}
	user := "system:serviceaccount:" + d.account.Namespace + ":" + d.account.Name
	if scc.AllowPrivilegedContainer || !scc.AllowHostDirVolumePlugin || !scc.AllowHostNetwork || !slices.Contains(scc.Users, user) {
		t.Errorf("got %+v, want what the pods of %s need", scc, user)
	}
}
