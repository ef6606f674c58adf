package runtimes

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// The versions of bpffs that the nodes have as an image. In the broken one the plugin
// cannot be run.
const (
	installerName = "localhost/bpffs"
	good          = "good"
	broken        = "broken"
)

// A way is how somebody has bpffs in a cluster: a tool, and its arguments that apply a
// version, take the last one back, and remove bpffs.
type way struct {
	name         string
	tool         func(t *testing.T, args ...string) string
	apply        map[string][]string
	undo, remove []string
}

// ways are those of docs/quickstart.md and docs/chart.md.
func ways(t *testing.T) []way {
	t.Helper()
	kubectl := way{
		name: "kubectl apply -k", tool: mustKubectl, apply: make(map[string][]string),
		undo:   []string{"--namespace=kube-system", "rollout", "undo", daemonSet},
		remove: []string{"delete", "-k", ownSettings(t, good)},
	}
	helm := way{
		name: "helm install", tool: mustHelm, apply: make(map[string][]string),
		undo:   []string{"rollback", "bpffs"},
		remove: []string{"uninstall", "bpffs"},
	}
	for _, version := range []string{good, broken} {
		kubectl.apply[version] = []string{"apply", "-k", ownSettings(t, version)}
		helm.apply[version] = []string{"upgrade", "--install", "bpffs", chartDir, ownValues(t, version)}
	}
	return []way{kubectl, helm}
}

// ownSettings makes an overlay as docs/quickstart.md does, with the network of the tests
// and the policy, and returns its directory.
func ownSettings(t *testing.T, version string) string {
	t.Helper()
	dir := filepath.Join(top, "deploy", ownOverlay(t, fmt.Sprintf(`
resources:
  - deploy/overlays/kubeadm
images:
  - name: ghcr.io/cni-bpffs/bpffs
    newName: %s
    newTag: %s
configMapGenerator:
  - name: bpffs
    namespace: kube-system
    behavior: replace
    files:
      - bpffs.json
%s`, installerName, version, policyAsItIs)))
	write(t, filepath.Join(dir, "bpffs.json"), volumes)
	return dir
}

// ownValues is the argument for the same of the chart.
func ownValues(t *testing.T, version string) string {
	t.Helper()
	var config bytes.Buffer
	testns.Must(t, json.Compact(&config, []byte(volumes))) // YAML takes no tabs
	return values(t, fmt.Sprintf("image: {repository: %s, tag: %s}\nconfig: %s\n", installerName, version, config.Bytes()))
}

// mustHelm runs helm in the cluster.
func mustHelm(t *testing.T, args ...string) string {
	t.Helper()
	out, err := helm(t, append(args, "--namespace=kube-system", "--kubeconfig="+adminConfig)...)
	testns.Must(t, err)
	return out
}

// brokenPlugin returns a plugin that cannot be run.
func brokenPlugin(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(bins + "/bpffs")
	testns.Must(t, err)
	file := filepath.Join(t.TempDir(), "bpffs")
	write(t, file, string(text[:100<<10]))
	return file
}
