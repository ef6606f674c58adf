package runtimes

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// The Helm chart, as helm itself renders it, beside the kustomizations.

const (
	chartDir  = top + "/deploy/chart"
	chartPage = top + "/docs/chart.md"
	// hashOfConfig is the annotation that replaces the pods when bpffs.json changes.
	hashOfConfig = "checksum/config"
)

// helm runs helm, with nothing of the user's.
func helm(t *testing.T, args ...string) (string, error) {
	t.Helper()
	home := t.TempDir()
	return run(t, []string{"HOME=" + home, "TMPDIR=" + home}, top+"/bin/runtimes/own/helm", args...)
}

// helmTemplate renders the chart at path, with more arguments.
func helmTemplate(t *testing.T, path string, args ...string) (string, error) {
	t.Helper()
	return helm(t, append([]string{"template", "bpffs", path, "--namespace=kube-system"}, args...)...)
}

// chart returns what the chart makes of these arguments of helm.
func chart(t *testing.T, args ...string) deployment {
	t.Helper()
	text, err := helmTemplate(t, chartDir, args...)
	testns.Must(t, err)
	return deploymentOf(t, "the chart with "+strings.Join(args, " "), printedObjects(text))
}

// printedObjects returns the objects that helm printed.
func printedObjects(text string) (objects [][]byte) {
	for _, object := range strings.Split("\n"+text, "\n---\n")[1:] {
		objects = append(objects, []byte(object))
	}
	return objects
}

// values is the argument for values of somebody's own.
func values(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "values.yaml")
	write(t, file, text)
	return "--values=" + file
}

// platforms returns the arguments for the chart's files of values, by their names.
func platforms(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(chartDir, "platforms", "*.yaml"))
	testns.Must(t, err)
	if len(files) == 0 {
		t.Fatalf("%s: got no file of a platform, want some", chartDir)
	}
	args := make(map[string]string)
	for _, file := range files {
		args[strings.TrimSuffix(filepath.Base(file), ".yaml")] = "--values=" + file
	}
	return args
}

// TestChart wants the chart to make the objects that kustomize makes.
func TestChart(t *testing.T) {
	type row struct {
		name, dir string
		args      []string
	}
	tests := []row{
		{"as it is", "base", nil},
		{"kubeadm", "overlays/kubeadm", nil},
		{"other-owner", withComponent(t, "base", otherOwner), []string{"--set=otherOwner=true"}},
		{"selinux", withComponent(t, "base", "components/selinux"), []string{"--set=selinux=true"}},
		{"pod-volume", podVolumeOverlay(t), []string{values(t, "config: "+podVolumeConfig)}},
		{"docs/chart.md", exampleOverlay(t), []string{values(t, snippets(t, chartPage, "yaml")[0])}},
	}
	for name, arg := range platforms(t) {
		tests = append(tests, row{name, "overlays/" + name, []string{arg}})
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want, got := deploymentIn(t, tt.dir), chart(t, tt.args...)
			checkReferences(t, got)
			alike(t, &want)
			alike(t, &got)
			if diff := cmp.Diff(want, got, cmp.AllowUnexported(deployment{})); diff != "" {
				t.Errorf("deploy/%s and the chart with %q (-want +got):\n%s", tt.dir, tt.args, diff)
			}
		})
	}
}

// alike takes out of the objects what differs in form: kustomize names the ConfigMap
// by its contents, the chart has a hash of them in an annotation.
func alike(t *testing.T, d *deployment) {
	t.Helper()
	pod := &d.daemonSet.Spec.Template
	d.config.Name = "bpffs"
	for _, v := range pod.Spec.Volumes {
		if v.ConfigMap != nil {
			v.ConfigMap.Name = d.config.Name
		}
	}
	delete(pod.Annotations, hashOfConfig)
	for name, text := range d.config.Data {
		d.config.Data[name] = sorted(t, text)
	}
	for i, text := range d.other {
		d.other[i] = sorted(t, text)
	}
}

// sorted returns the YAML or JSON as JSON with its keys in order.
func sorted(t *testing.T, text string) string {
	t.Helper()
	var value any
	testns.Must(t, yaml.Unmarshal([]byte(text), &value))
	same, err := json.Marshal(value)
	testns.Must(t, err)
	return string(same)
}

const podVolumeConfig = `{"type": "bpffs", "podVolume": "bpffs", "maps": [{"name": "stats_", "type": "array", "keySize": 4, "valueSize": 8, "maxEntries": 2, "pod": "rw"}]}`

// podVolumeOverlay is what an operator has whose networks have a podVolume.
func podVolumeOverlay(t *testing.T) (dir string) {
	t.Helper()
	return ownOverlay(t, fmt.Sprintf("resources: [deploy/base]\ncomponents: [deploy/%s]\n", podVolume)+ownConfig(podVolumeConfig))
}

// ownConfig is the part of an overlay that replaces bpffs.json.
func ownConfig(config string) string {
	return fmt.Sprintf("configMapGenerator: [{name: bpffs, namespace: kube-system, behavior: replace, literals: ['bpffs.json=%s']}]\n", config)
}

// exampleOverlay is for kustomize what the example of docs/chart.md is for Helm.
func exampleOverlay(t *testing.T) (dir string) {
	t.Helper()
	return ownOverlay(t, `resources: [deploy/base]
images: [{name: ghcr.io/cni-bpffs/bpffs, newName: registry.example.com/bpffs, newTag: v0.1.0}]
patches:
  - target: {kind: DaemonSet}
    patch: |-
      - {op: add, path: /spec/template/spec/imagePullSecrets, value: [{name: bpffs-registry}]}
`+ownConfig(`{"type": "bpffs", "maps": [{"name": "flows_", "type": "lru_hash", "keySize": 16, "valueSize": 32, "maxEntries": 4096}]}`))
}
