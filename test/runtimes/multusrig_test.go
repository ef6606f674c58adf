package runtimes

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/containernetworking/cni/libcni"
	"github.com/google/go-cmp/cmp"
	nadv1 "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/test/internal/node"
)

const (
	multusSubject = "Multus 4.2.3"
	multusDir     = "/run/node/multus" // its networks
	multusCache   = "/var/lib/cni/multus"
	auxiliary     = "vendor-cni-chain"
	byPath        = `"clusterNetwork": "` + multusDir + `/10-main.conflist"`
)

// A multus is thin Multus, called as by a runtime, and what it asks.
type multus struct {
	*podAPI

	cni  *libcni.CNIConfig
	list *libcni.NetworkConfigList
}

// newMultus returns Multus with the keys. Its main network has the plugins after the
// main one.
func newMultus(t *testing.T, keys string, plugins ...string) *multus {
	t.Helper()
	testns.Must(t, errors.Join(os.RemoveAll(multusDir), os.RemoveAll(multusCache), os.RemoveAll(mainLog)))
	write(t, multusDir+"/10-main.conflist", mainList(plugins...))
	write(t, answerFile, answers()[0].in("1.1.0", ""))
	api := newPodAPI(t)
	list, err := libcni.NetworkConfFromBytes(fmt.Appendf(nil, `{"cniVersion": "1.1.0", "name": %q, "plugins": [
		{"type": "multus", "kubeconfig": %q, "binDir": %q, "capabilities": {"io.kubernetes.cri.pod-annotations": true}, %s}]}`,
		network, kubeconfig, cniBin, keys))
	testns.Must(t, err)
	return &multus{api, libcni.NewCNIConfig([]string{cniBin}, nil), list}
}

// mainList is a network of the main plugin, which has a key of its own, and others.
func mainList(plugins ...string) string {
	all := strings.Join(append([]string{`{"type": "main", "own": 1}`}, plugins...), ", ")
	return `{"cniVersion": "1.1.0", "name": "main", "plugins": [` + all + `]}`
}

// linkMultus puts Multus among the plugins, with what its auxiliary chain begins with,
// and the main plugin.
func linkMultus(t *testing.T) {
	t.Helper()
	linkPlugin(t, bins+"/runtimes/multus/multus", "multus")
	linkPlugin(t, bins+"/runtimes/multus/passthru-cni", "passthru")
	testns.Must(t, os.WriteFile(cniBin+"/main", []byte(mainPlugin), 0o700))
}

// pod returns how Multus is called for a new pod.
func (m *multus) pod(t *testing.T, name string) *libcni.RuntimeConf {
	t.Helper()
	pod, err := node.NewPod(name)
	testns.Must(t, err)
	t.Cleanup(func() { testns.Must(t, pod.Crash()) })
	return &libcni.RuntimeConf{
		ContainerID: name, NetNS: pod.NetNS, IfName: "eth0",
		Args: [][2]string{{"K8S_POD_NAMESPACE", "default"}, {"K8S_POD_NAME", name}, {"K8S_POD_UID", name}},
	}
}

// add attaches the pod.
func (m *multus) add(t *testing.T, rt *libcni.RuntimeConf) {
	t.Helper()
	var err error
	for range 10 { // it gives the API server a second and a half, before it calls any plugin
		_, err = m.cni.AddNetworkList(t.Context(), m.list, rt)
		if err == nil || !strings.Contains(err.Error(), "waiting for pod") {
			break
		}
	}
	testns.Must(t, err)
}

// del detaches the pod twice, as containerd does.
func (m *multus) del(t *testing.T, rt *libcni.RuntimeConf) {
	t.Helper()
	testns.Must(t, m.cni.DelNetworkList(t.Context(), m.list, rt))
	again := *rt
	again.NetNS = ""
	testns.Must(t, m.cni.DelNetworkList(t.Context(), m.list, &again))
}

// forget lets the runtime forget its pods, and Multus if it is to, and sends a GC.
func (m *multus) forget(t *testing.T, too bool) {
	t.Helper()
	testns.Must(t, os.RemoveAll("/var/lib/cni/results")) // or libcni sends DEL for what is in it
	if too {
		testns.Must(t, errors.Join(os.RemoveAll(multusCache), os.MkdirAll(multusCache+"/results", 0o700)))
	}
	testns.Must(t, m.cni.GCNetworkList(t.Context(), m.list, &libcni.GCArgs{}))
}

// wantAttached wants these attachments, as network and interface, to have a record in
// the bpffs at root.
func wantAttached(t *testing.T, root string, want ...string) {
	t.Helper()
	found, err := filepath.Glob(root + "/cni/attachments/*/*/*")
	testns.Must(t, err)
	var got []string
	for _, path := range found {
		got = append(got, filepath.Base(filepath.Dir(filepath.Dir(path)))+" "+filepath.Base(path))
	}
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("attachments with a record (-want +got):\n%s", diff)
	}
}

// mainCalls returns the verbs that the main plugin got, and which of them had its own
// key.
func mainCalls(t *testing.T) (verbs, withKey []string) {
	t.Helper()
	f, err := os.Open(mainLog)
	testns.Must(t, err)
	defer f.Close()
	for d := json.NewDecoder(f); ; {
		var c struct {
			Verb string
			Conf map[string]any
		}
		err := d.Decode(&c)
		if errors.Is(err, io.EOF) {
			return verbs, withKey
		}
		testns.Must(t, err)
		verbs = append(verbs, c.Verb)
		if c.Conf["own"] != nil {
			withKey = append(withKey, c.Verb)
		}
	}
}

// answered attaches a pod after the main plugin gave the answer, and returns the
// status.
func (m *multus) answered(t *testing.T, pod string, a answer) []*nadv1.NetworkStatus {
	t.Helper()
	rt := m.pod(t, pod)
	write(t, answerFile, a.in("1.1.0", rt.NetNS))
	m.add(t, rt)
	defer m.del(t, rt)
	return m.statuses(t)
}

// everyVerb sends each verb once.
func (m *multus) everyVerb(t *testing.T, pod string) {
	t.Helper()
	testns.Must(t, m.cni.GetStatusNetworkList(t.Context(), m.list))
	rt := m.pod(t, pod)
	m.add(t, rt)
	testns.Must(t, m.cni.CheckNetworkList(t.Context(), m.list, rt))
	testns.Must(t, m.cni.DelNetworkList(t.Context(), m.list, rt))
	testns.Must(t, m.cni.GCNetworkList(t.Context(), m.list, &libcni.GCArgs{}))
}

func wantCalls(t *testing.T, want, wantKey []string) {
	t.Helper()
	verbs, withKey := mainCalls(t)
	if !slices.Equal(verbs, want) || !slices.Equal(withKey, wantKey) {
		t.Errorf("verbs: got %q, with the plugin's own key %q, want %q and %q", verbs, withKey, want, wantKey)
	}
}

// mapsOf declares so many maps.
func mapsOf(n int, more string) string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf(`{"name": "m%d_", "type": "array", "keySize": 4, "valueSize": 4, "maxEntries": 1}`, i)
	}
	return `{"type": "bpffs", "maps": [` + strings.Join(names, ", ") + `]` + more + `}`
}
