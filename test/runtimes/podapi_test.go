package runtimes

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	nadv1 "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// A podAPI answers what thin Multus asks an API server: a GET of the pod and of the
// networks that it names. It keeps the status that Multus writes with a PUT.
type podAPI struct {
	server   *httptest.Server
	networks map[string]string // configurations by name

	mu     sync.Mutex
	wants  string // the networks that pods ask for
	status string // of the networks of the last pod
}

const kubeconfig = "/run/node/kubeconfig"

// newPodAPI starts one, to which kubeconfig leads, until the test ends.
func newPodAPI(t *testing.T) *podAPI {
	t.Helper()
	api := &podAPI{networks: make(map[string]string)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/namespaces/{namespace}/pods/{name}", api.getPod)
	mux.HandleFunc("PUT /api/v1/namespaces/{namespace}/pods/{name}/status", api.putStatus)
	mux.HandleFunc("GET /apis/k8s.cni.cncf.io/v1/namespaces/{namespace}/network-attachment-definitions/{name}", api.getNetwork)
	api.server = httptest.NewServer(mux)
	t.Cleanup(api.server.Close)
	write(t, kubeconfig, fmt.Sprintf(`{"apiVersion": "v1", "kind": "Config", "current-context": "test",
		"clusters": [{"name": "test", "cluster": {"server": %q}}], "contexts": [{"name": "test", "context": {"cluster": "test"}}]}`, api.server.URL))
	return api
}

// getPod answers with a pod whose UID is its name.
func (a *podAPI) getPod(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	pod := corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{Namespace: r.PathValue("namespace"), Name: r.PathValue("name"), UID: types.UID(r.PathValue("name"))},
	}
	if a.wants != "" {
		pod.Annotations = map[string]string{nadv1.NetworkAttachmentAnnot: a.wants}
	}
	reply(w, pod)
}

func (a *podAPI) putStatus(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	pod := new(corev1.Pod)
	if err == nil {
		_, _, err = scheme.Codecs.UniversalDeserializer().Decode(body, nil, pod)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.status = pod.Annotations[nadv1.NetworkStatusAnnot]
	pod.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}
	reply(w, pod)
}

func (a *podAPI) getNetwork(w http.ResponseWriter, r *http.Request) {
	conf, ok := a.networks[r.PathValue("name")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	reply(w, nadv1.NetworkAttachmentDefinition{
		TypeMeta:   metav1.TypeMeta{APIVersion: "k8s.cni.cncf.io/v1", Kind: "NetworkAttachmentDefinition"},
		ObjectMeta: metav1.ObjectMeta{Namespace: r.PathValue("namespace"), Name: r.PathValue("name")},
		Spec:       nadv1.NetworkAttachmentDefinitionSpec{Config: conf},
	})
}

func reply(w http.ResponseWriter, object any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(object); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

// statuses returns what Multus wrote of the networks of the last pod. It writes
// nothing if there is nothing to say.
func (a *podAPI) statuses(t *testing.T) (all []*nadv1.NetworkStatus) {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.status != "" {
		testns.Must(t, json.Unmarshal([]byte(a.status), &all))
	}
	return all
}
