package runtimes

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
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

// A way is how somebody brings a version of bpffs into a cluster, goes back to the one
// before, and takes it out.
type way struct {
	name         string
	apply        func(t *testing.T, version string)
	undo, remove func(t *testing.T)
}

// ways are those of docs/operations.md and docs/chart.md.
func ways() []way {
	return []way{
		{
			"kubectl apply -k",
			func(t *testing.T, version string) { mustKubectl(t, "apply", "-k", kustomized(t, version)) },
			func(t *testing.T) { mustKubectl(t, "--namespace=kube-system", "rollout", "undo", daemonSet) },
			func(t *testing.T) { mustKubectl(t, "delete", "-k", kustomized(t, good)) },
		},
		{
			"helm upgrade --install",
			func(t *testing.T, version string) {
				mustHelm(t, "upgrade", "--install", "bpffs", chartDir, ownValues(t, version))
			},
			func(t *testing.T) { mustHelm(t, "rollback", "bpffs") },
			func(t *testing.T) { mustHelm(t, "uninstall", "bpffs") },
		},
	}
}

// mustHelm runs helm in the cluster, and wants success.
func mustHelm(t *testing.T, args ...string) {
	t.Helper()
	out, err := helm(t, append(args, "--namespace=kube-system", "--kubeconfig="+kubeconfig)...)
	testns.Must(t, err)
	t.Log(out)
}

// ownValues is for the chart what ownSettings is for kustomize.
func ownValues(t *testing.T, version string) (arg string) {
	t.Helper()
	return values(t, fmt.Sprintf("image: {repository: %s, tag: %s}\nconfig: %s\n", installerName, version, volumes))
}

// ownSettings is the overlay of docs/operations.md, with the network of the tests, and
// with the policy.
const ownSettings = `
resources:
  - deploy/overlays/kubeadm
images:
  - name: ghcr.io/cni-bpffs/bpffs
    newName: ` + installerName + `
    newTag: VERSION
configMapGenerator:
  - name: bpffs
    namespace: kube-system
    behavior: replace
    files:
      - bpffs.json
` + policyAsItIs

// kustomized returns the directory of an overlay for the version.
func kustomized(t *testing.T, version string) (dir string) {
	t.Helper()
	dir = filepath.Join(top, "deploy", ownOverlay(t, strings.ReplaceAll(ownSettings, "VERSION", version)))
	write(t, filepath.Join(dir, "bpffs.json"), volumes)
	return dir
}

// brokenPrograms returns a directory with a plugin that cannot be run.
func brokenPrograms(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	mustRun(t, "cp", bins+"/bpffs", bins+"/bpffsctl", dir)
	testns.Must(t, os.Truncate(filepath.Join(dir, "bpffs"), 100<<10))
	return dir
}
