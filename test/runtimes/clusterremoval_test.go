package runtimes

import (
	"slices"
	"strings"
	"testing"
)

// isRemoved does what docs/quickstart.md has in "Remove it from the cluster".
func (c *cluster) isRemoved(t *testing.T, by way) {
	t.Helper()
	by.tool(t, by.remove...)
	for _, of := range [][]string{
		{"daemonsets,pods,configmaps,serviceaccounts,controllerrevisions", "--all-namespaces", selector},
		{"validatingadmissionpolicies,validatingadmissionpolicybindings"},
	} {
		awaitKubectl(t, func(objects string) bool { return objects == "" }, append([]string{"get", "--output=name"}, of...)...)
	}
	for _, n := range c.nodes {
		if n.network(t) == mainNetwork() {
			t.Errorf("network of the node %s without the DaemonSet: got %s, want bpffs in it", n.name, n.network(t))
		}
		drain := strings.ReplaceAll(drainCommand(t), "$NODE", n.name)
		t.Log(mustKubectl(t, append(strings.Fields(drain), "--force", "--timeout=5m")...)) // by force, for no controller owns the pods
		n.bpffsctl(t, "uninstall")
		n.isAsBefore(t)
		mustKubectl(t, "uncordon", n.name)
	}
}

// drainCommand returns that of docs/quickstart.md, after "kubectl".
func drainCommand(t *testing.T) string {
	t.Helper()
	for _, line := range lines(blocks(t, quickstartPage, "A cluster")) {
		if command, is := strings.CutPrefix(line, "kubectl "); is && strings.HasPrefix(command, "drain ") {
			return command
		}
	}
	t.Fatalf("%s: got no kubectl drain, want one", quickstartPage)
	return ""
}

// isAsBefore wants nothing of bpffs to be left on the node.
func (n clusterNode) isAsBefore(t *testing.T) {
	t.Helper()
	if got, want := n.network(t), mainNetwork(); got != want {
		t.Errorf("network of the node %s: got %s, want it as its main plugin wrote it: %s", n.name, got, want)
	}
	if got := names(t, n.path(usualConf)); !slices.Equal(got, []string{networkFile}) {
		t.Errorf("in %s of the node %s: got %q, want %s only", usualConf, n.name, got, networkFile)
	}
	if got := names(t, n.path(usualBin)); !slices.Equal(got, n.programs) {
		t.Errorf("in %s of the node %s: got %q, want what was there before: %q", usualBin, n.name, got, n.programs)
	}
	nothingLeftIn(t, n.path(bpfRoot))
}
