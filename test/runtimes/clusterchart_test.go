package runtimes

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apps "k8s.io/api/apps/v1"
)

// TestChartTakesOver is "From kustomize to Helm" in docs/chart.md: helm takes the
// objects over if it is told to, and then they are those of a new release.
func TestChartTakesOver(t *testing.T) {
	needCluster(t)
	if !onNode(t) {
		return
	}
	startAPIServer(t)
	spec := func() apps.DaemonSetSpec {
		return kubeObject[apps.DaemonSet](t, "--namespace=kube-system", "get", daemonSet).Spec
	}
	objects := func() string {
		return mustKubectl(t, "--namespace=kube-system", "get", "daemonsets,configmaps,serviceaccounts", selector, "--output=name")
	}
	install := []string{"install", "bpffs", chartDir, ownValues(t, good)}
	mustHelm(t, install...)
	want := spec()
	if out, err := helm(t, "install", "other", chartDir, "--namespace=kube-system", "--kubeconfig="+adminConfig); err == nil {
		t.Errorf("a second release: got %s, want it refused", out)
	}
	mustHelm(t, "uninstall", "bpffs")

	by := ways(t)[0]
	by.tool(t, by.apply[broken]...)
	before := objects()
	if out, err := helm(t, append(install, "--namespace=kube-system", "--kubeconfig="+adminConfig)...); err == nil {
		t.Errorf("without --take-ownership: got %s, want it refused", out)
	}
	mustHelm(t, append(install, "--take-ownership")...)
	if diff := cmp.Diff(want, spec()); diff != "" {
		t.Errorf("the DaemonSet that was kustomize's (-want +got):\n%s", diff)
	}
	mustHelm(t, "uninstall", "bpffs")
	if left := objects(); strings.Count(left, "\n") != 1 || !strings.HasPrefix(left, "configmap/bpffs-") || !strings.Contains(before, left) {
		t.Errorf("left of kustomize: got %s of %s, want its ConfigMap", left, before)
	}
}
