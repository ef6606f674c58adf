package runtimes

import (
	"bytes"
	"strings"
	"testing"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/test/internal/plugintest"
)

// TestManifestsAreValid asks an API server whether it would create the objects, for
// what can be decoded need not be valid.
func TestManifestsAreValid(t *testing.T) {
	needCluster(t)
	if !onNode(t) {
		return
	}
	startAPIServer(t)
	dirs := []string{
		"base", "overlays/kubeadm", "overlays/k3s", "overlays/microk8s", "overlays/gke", "overlays/openshift",
		withComponent(t, "overlays/kubeadm", otherOwner), withComponent(t, "overlays/k3s", podVolume),
	}
	for _, dir := range dirs {
		if a := create(t, kubernetesObjects(t, dir)); a.Status != 0 {
			t.Errorf("deploy/%s: got %+v, want success", dir, a)
		}
	}
}

func TestWhatIsNotValidIsRefused(t *testing.T) {
	needCluster(t)
	if !onNode(t) {
		return
	}
	startAPIServer(t)
	objects := string(kubernetesObjects(t, "base"))
	for _, tt := range []struct{ name, from, to, want string }{
		{"no pod may ever be missing", "maxUnavailable: 1", "maxUnavailable: 0", "cannot be 0 when"},
		{"a mount without a volume", "name: conf\n", "name: config\n", "spec.template.spec.containers[0].volumeMounts"},
		{"privileged against its own word", "privileged: false", "privileged: true", "allowPrivilegeEscalation"},
		{"a request above the limit", "memory: 16Mi", "memory: 64Mi", "must be less than or equal to memory limit"},
		{"a selector that misses", "matchLabels:\n", "matchLabels:\n      other: label\n", "does not match template"},
		{"a field that is not known", "hostNetwork:", "hostsNetwork:", "unknown field"},
		{"a setting that has gone", "metadata:\n      annotations:", "metadata:\n      annotations:\n        scheduler.alpha.kubernetes.io/critical-pod: \"\"", "warning"},
	} {
		changed := strings.Replace(objects, tt.from, tt.to, 1)
		a := create(t, []byte(changed))
		if a.Status == 0 || !strings.Contains(a.Stderr, tt.want) || changed == objects {
			t.Errorf("%s: got %+v, want an error with %q", tt.name, a, tt.want)
		}
	}
}

// create asks the API server whether it would create objects, without a warning.
func create(t *testing.T, objects []byte) plugintest.Answer {
	t.Helper()
	return kubectl(t, objects, "create", "--dry-run=server", "--warnings-as-errors", "-f", "-")
}

// kubernetesObjects returns those objects of a directory in deploy/ that are
// Kubernetes' own.
func kubernetesObjects(t *testing.T, dir string) []byte {
	t.Helper()
	var own [][]byte
	for _, text := range render(t, dir) {
		if !isOpenShift(text) {
			own = append(own, text)
		}
	}
	return bytes.Join(own, []byte("---\n"))
}

// TestSnippetsAreValid asks an API server about the pods of docs/pods.md, with the
// policy in force.
func TestSnippetsAreValid(t *testing.T) {
	needCluster(t)
	if !onNode(t) {
		return
	}
	pods := startPodServer(t)
	mustKubectl(t, "create", "namespace", delegated)
	pods.enforce(t, policyAsItIs, refusedPod())
	all := examplePods(t)
	for _, p := range all {
		if err := pods.try(t, p); err != nil {
			t.Errorf("the pod %s of docs/pods.md: got %v, want it created", p.Name, err)
		}
	}
	if len(all) != 2 {
		t.Errorf("pods in docs/pods.md: got %d, want 2", len(all))
	}
}

// examplePods returns the pods of docs/pods.md.
func examplePods(t *testing.T) (pods []core.Pod) {
	t.Helper()
	for _, text := range snippets(t, podsPage, "yaml") {
		p := core.Pod{ObjectMeta: meta.ObjectMeta{Namespace: meta.NamespaceDefault}}
		if !strings.Contains(text, "kind: Pod\n") {
			continue
		}
		testns.Must(t, yaml.UnmarshalStrict([]byte(text), &p))
		pods = append(pods, p)
	}
	return pods
}

// podServer is the part of an API server that is about pods. Nobody runs them.
type podServer struct{ client *rest.RESTClient }

func startPodServer(t *testing.T) podServer {
	t.Helper()
	startAPIServer(t, "--disable-admission-plugins=ServiceAccount") // nobody makes accounts, either
	client, err := rest.RESTClientFor(&rest.Config{
		Host: apiURL, APIPath: "/api", BearerToken: adminToken, TLSClientConfig: rest.TLSClientConfig{CAFile: apiCert}, QPS: -1,
		ContentConfig: rest.ContentConfig{GroupVersion: &core.SchemeGroupVersion, NegotiatedSerializer: scheme.Codecs.WithoutConversion()},
	})
	testns.Must(t, err)
	return podServer{client}
}

// create creates a pod.
func (a podServer) create(t *testing.T, p core.Pod) (created core.Pod) {
	t.Helper()
	testns.Must(t, a.client.Post().Namespace(p.Namespace).Resource("pods").Body(&p).Do(t.Context()).Into(&created))
	return created
}

// try asks whether a pod would be created; one that is there already whether it would be
// updated, as "kubectl apply" does it, or if it gets ephemeral containers as "kubectl
// debug" does.
func (a podServer) try(t *testing.T, p core.Pod) error {
	t.Helper()
	request := a.client.Post()
	if p.UID != "" {
		request = a.client.Put().Name(p.Name)
	}
	if len(p.Spec.EphemeralContainers) != 0 {
		request = request.SubResource("ephemeralcontainers")
	}
	return request.Namespace(p.Namespace).Resource("pods").Param("dryRun", meta.DryRunAll).Body(&p).Do(t.Context()).Error()
}
