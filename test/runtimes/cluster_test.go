package runtimes

import (
	"os"
	"strings"
	"testing"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

const (
	kubernetes = "Kubernetes 1.34" // in the table
	selector   = "--selector=app.kubernetes.io/name=bpffs"
	daemonSet  = "daemonset/bpffs"
)

// TestCluster does what docs/quickstart.md and docs/chart.md say for a cluster: apply,
// use, roll out, and remove.
func TestCluster(t *testing.T) {
	needCluster(t)
	if os.Getenv(secondNodeVar) != "" {
		secondNode(t)
		return
	}
	if !onNode(t) {
		return
	}
	c := newCluster(t)
	for _, by := range ways(t) {
		if !t.Run(by.name, func(t *testing.T) { c.play(t, by) }) {
			return // there may be things left
		}
	}
}

// play does one step after the other. Each needs the one before.
func (c *cluster) play(t *testing.T, by way) {
	t.Helper()
	for _, step := range []struct {
		name, feature string
		do            func(t *testing.T, by way)
	}{
		{"waits", "without a main plugin the pods of the DaemonSet are not ready, and their events say why", c.waits},
		{"ready", "the main plugin comes: the DaemonSet is ready", c.becomesReady},
		{"pods", "pods as docs/pods.md has them read their own maps", c.runsPods},
		{"token", "the pod with a token of docs/pods.md uses it", c.usesToken},
		{"policy", "the policy refuses a pod", c.refuses},
		{"broken", "a broken version stops at the first of two nodes, pods start on both, and it is taken back", c.breaks},
		{"removal", "removed as documented: nothing is left", c.isRemoved},
	} {
		done := t.Run(step.name, func(t *testing.T) {
			works(t, kubernetes, step.feature+"; "+by.name)
			step.do(t, by)
		})
		if !done {
			t.FailNow()
		}
	}
}

// waits applies bpffs before there is a main plugin.
func (c *cluster) waits(t *testing.T, by way) {
	t.Helper()
	for _, n := range c.nodes {
		testns.Must(t, os.RemoveAll(n.path(usualConf+"/"+networkFile))) // of the way before
	}
	by.tool(t, by.apply[good]...)
	for _, p := range c.installers(t) {
		const because = "Readiness probe failed: waiting: /host/etc/cni/net.d: no main plugin is configured"
		awaitKubectl(t, func(events string) bool { return strings.Contains(events, because) },
			"--namespace=kube-system", "get", "events", "--field-selector=reason=Unhealthy,involvedObject.name="+p.Name)
		if described := mustKubectl(t, "--namespace=kube-system", "describe", "pod", p.Name); !strings.Contains(described, because) {
			t.Errorf("kubectl describe pod %s: got %s, want %q", p.Name, described, because)
		}
	}
	if is := c.status(t); is.NumberReady != 0 || int(is.NumberUnavailable) != len(c.nodes) {
		t.Errorf("the DaemonSet: got %+v, want no pod ready", is)
	}
}

func (c *cluster) becomesReady(t *testing.T, _ way) {
	t.Helper()
	for _, n := range c.nodes {
		n.writeNetwork(t)
	}
	t.Log(mustKubectl(t, "--namespace=kube-system", "rollout", "status", daemonSet, "--timeout=5m"))
	c.rt.takesPlugin(t, mainNetwork())
	mustKubectl(t, "wait", "--for=condition=Ready", "nodes", "--all", "--timeout=5m")
	t.Log(mustKubectl(t, "--namespace=kube-system", "get", "daemonsets,pods", selector, "--output=wide"))
}

// breaks rolls a broken version out, and takes it back.
func (c *cluster) breaks(t *testing.T, by way) {
	t.Helper()
	by.tool(t, by.apply[broken]...)
	var failing core.Pod
	waitWithin(t, clusterTime, "a pod of the broken version to fail again", func() bool {
		for _, failing = range c.installers(t) {
			if all := failing.Status.ContainerStatuses; len(all) > 0 && strings.HasSuffix(all[0].Image, broken) && all[0].RestartCount > 0 {
				return true
			}
		}
		return false
	})
	t.Log(mustKubectl(t, "--namespace=kube-system", "get", "daemonsets,pods", selector, "--output=wide"))
	t.Log(mustKubectl(t, "--namespace=kube-system", "logs", failing.Name))
	for _, n := range c.nodes {
		n.servesPods(t)
	}
	if is := c.status(t); is.UpdatedNumberScheduled != 1 || is.NumberUnavailable != 1 || is.NumberReady != 1 {
		t.Errorf("the DaemonSet: got %+v, want the first of two pods updated, and the other one ready", is)
	}
	by.tool(t, by.undo...)
	mustKubectl(t, "--namespace=kube-system", "rollout", "status", daemonSet, "--timeout=5m")
}

// status returns what the API server says about the DaemonSet.
func (c *cluster) status(t *testing.T) apps.DaemonSetStatus {
	t.Helper()
	return kubeObject[apps.DaemonSet](t, "--namespace=kube-system", "get", daemonSet).Status
}

// installers returns the pods of the DaemonSet, one for each node.
func (c *cluster) installers(t *testing.T) (pods []core.Pod) {
	t.Helper()
	waitWithin(t, clusterTime, "the pods of the DaemonSet", func() bool {
		pods = kubeObject[core.PodList](t, "--namespace=kube-system", "get", "pods", selector).Items
		return len(pods) == len(c.nodes)
	})
	return pods
}
