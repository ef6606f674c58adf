package runtimes

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	core "k8s.io/api/core/v1"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
	"sigs.k8s.io/yaml"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
	"github.com/cni-bpffs/cni-bpffs/test/internal/node"
	"github.com/cni-bpffs/cni-bpffs/test/internal/plugintest"
)

// appImage is the image of the pods, which has the example of docs/pods.md in Go.
const appImage = "localhost/app:test"

// A clusterPod is one that runs on the first node.
type clusterPod struct {
	core.Pod
	container string
	ep        bpffs.Endpoint
	mapID     uint32 // of the map that it may read
}

// runsPods runs the first pod of docs/pods.md, twice.
func (c *cluster) runsPods(t *testing.T, _ way) {
	t.Helper()
	p := examplePods(t)[0]
	one := c.start(t, p, 1)
	p.Name += "-2"
	two := c.start(t, p, 2)
	one.readsItsOwn(t, 10)
	two.readsItsOwn(t, 1000)
	one.readsItsOwn(t, 0)
	c.others = two.mapID
	c.rt.wantAbilities(t, one.container, c.others, abilities{limit: 1})
}

// usesToken runs the second pod of docs/pods.md.
func (c *cluster) usesToken(t *testing.T, _ way) {
	t.Helper()
	needTokens(t)
	p := c.start(t, examplePods(t)[1], 1)
	c.rt.wantAbilities(t, p.container, c.others, abilities{token: true, loads: true, attaches: true})
}

// start starts a pod on the first node.
func (c *cluster) start(t *testing.T, p core.Pod, limit uint64) clusterPod {
	t.Helper()
	p = startOn(t, nodeName, p)
	container := strings.TrimPrefix(p.Status.ContainerStatuses[0].ContainerID, "containerd://")
	ep := pinned(t, c.rt.sandboxOf(t, container))
	return clusterPod{p, container, ep, limitedTo(t, ep, limit)}
}

// startOn starts a pod on a node, with the image that is there.
func startOn(t *testing.T, node string, p core.Pod) core.Pod {
	t.Helper()
	p.Spec.NodeSelector = map[string]string{core.LabelHostname: node}
	p.Spec.Containers[0].Image = appImage
	text, err := yaml.Marshal(p)
	testns.Must(t, err)
	mustInput(t, text, "create", "-f", "-")
	mustKubectl(t, "--namespace="+p.Namespace, "wait", "--for=condition=Ready", "pod/"+p.Name, "--timeout=5m")
	return kubeObject[core.Pod](t, "--namespace="+p.Namespace, "get", "pod", p.Name)
}

// sandboxOf returns the ID of the container's pod.
func (c *containerd) sandboxOf(t *testing.T, container string) string {
	t.Helper()
	list, err := c.cri.ListContainers(t.Context(), &cri.ListContainersRequest{Filter: &cri.ContainerFilter{Id: container}})
	testns.Must(t, err)
	if all := list.GetContainers(); len(all) == 1 {
		return all[0].GetPodSandboxId()
	}
	t.Fatalf("containers with the ID %s: got %v, want one", container, list.GetContainers())
	return ""
}

// readsItsOwn sends packets to the pod, and wants its program to read the number that
// was counted for it on the node.
func (p clusterPod) readsItsOwn(t *testing.T, packets int) {
	t.Helper()
	mustRun(t, bins+"/runtimes/own/pod", "send", p.Status.PodIP, fmt.Sprint(packets))
	waitWithin(t, clusterTime, "the pod to read what was counted", func() bool {
		counted, err := node.ReadCounters(filepath.Join(mapDir, bpffs.LocalMapName("stats_", p.ep.ID)))
		testns.Must(t, err)
		n := counted.Received.Packets
		return n >= uint64(packets) && p.reads(t) == fmt.Sprintln(n, "packets")
	})
}

// reads returns what the example of docs/pods.md prints in the pod.
func (p clusterPod) reads(t *testing.T) string {
	t.Helper()
	return mustKubectl(t, "--namespace="+p.Namespace, "exec", p.Name, "--", "/example")
}

// refuses wants the API server to refuse the pod with the token, with one capability more.
func (c *cluster) refuses(t *testing.T, _ way) {
	t.Helper()
	p := examplePods(t)[1]
	p.Name = "refused"
	add := &p.Spec.Containers[0].SecurityContext.Capabilities.Add
	*add = append(*add, "PERFMON")
	text, err := yaml.Marshal(p)
	testns.Must(t, err)
	var a plugintest.Answer
	waitWithin(t, clusterTime, "the API server to refuse the pod", func() bool {
		a = kubectl(t, text, "create", "--dry-run=server", "-f", "-")
		return a.Status != 0
	})
	if !strings.Contains(a.Stderr, "volume bpffs: container observer is privileged or adds") {
		t.Errorf("kubectl create of a pod with PERFMON: got %+v, want it refused by the policy", a)
	}
}

// servesPods wants a new pod on the node to have maps.
func (n clusterNode) servesPods(t *testing.T) {
	t.Helper()
	p := examplePods(t)[0]
	p.Name = "late-on-" + n.name
	if got := (clusterPod{Pod: startOn(t, n.name, p)}).reads(t); !strings.HasSuffix(got, " packets\n") {
		t.Errorf("the example in the pod %s: got %q, want a number of packets", p.Name, got)
	}
}
