package runtimes

import (
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

// A way is how somebody applies bpffs: args are those of kubectl, after "apply" and
// after "delete", for a version.
type way struct {
	name string
	args func(t *testing.T, version string) []string
}

// ways are those of docs/operations.md.
func ways() []way {
	return []way{
		{"kubectl apply -k", kustomized},
	}
}

// ownSettings is the overlay of docs/operations.md, with the network of the tests, and
// with the policy.
const ownSettings = `
resources:
  - DEPLOY/overlays/kubeadm
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

func kustomized(t *testing.T, version string) []string {
	t.Helper()
	dir := filepath.Join(top, "deploy", ownOverlay(t, strings.ReplaceAll(ownSettings, "VERSION", version)))
	write(t, filepath.Join(dir, "bpffs.json"), volumes)
	return []string{"-k", dir}
}

// brokenPrograms returns a directory with a plugin that cannot be run.
func brokenPrograms(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	mustRun(t, "cp", bins+"/bpffs", bins+"/bpffsctl", dir)
	testns.Must(t, os.Truncate(filepath.Join(dir, "bpffs"), 100<<10))
	return dir
}
