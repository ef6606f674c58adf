package runtimes

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// TestChartLint asks helm about the chart, as it is and with each file of values.
func TestChartLint(t *testing.T) {
	args := platforms(t)
	args["as it is"] = "--set=mode="
	args["a pod volume"] = "--set=config.podVolume=bpffs"
	args["all rights"] = "--set=otherOwner=true,selinux=true,imagePullSecrets[0].name=registry"
	for name, arg := range args {
		if _, err := helm(t, "lint", "--strict", chartDir, arg); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// packChart makes the archive of a release.
func packChart(t *testing.T, version string) (file string) {
	t.Helper()
	dir := t.TempDir()
	testns.Must(t, os.CopyFS(dir+"/chart", os.DirFS(chartDir)))
	file = dir + "/bpffs.tgz"
	mustRun(t, top+"/deploy/chart.sh", version, dir+"/chart", file)
	return file
}

// TestChartArchive: the archive of a release is the chart with the image of that
// release, and has nothing in it that differs from time to time.
func TestChartArchive(t *testing.T) {
	for _, tt := range []struct{ version, chart string }{
		{"v1.2.3", "1.2.3"},
		{"v1.2.3-4-g62f7ac5-dirty", "1.2.3-4-g62f7ac5-dirty"},
		{"0123456", "0.0.0-g0123456"},
		{"unknown", "0.0.0-gunknown"},
	} {
		file := packChart(t, tt.version)
		if _, err := helm(t, "lint", "--strict", file); err != nil {
			t.Errorf("%s: %v", tt.version, err)
		}
		about, err := helm(t, "show", "chart", file)
		testns.Must(t, err)
		if !strings.Contains(about, "\nversion: "+tt.chart+"\n") {
			t.Errorf("%s: got %s, want the version %s", tt.version, about, tt.chart)
		}
		text, err := helmTemplate(t, file)
		testns.Must(t, err)
		want, got := chart(t), deploymentOf(t, file, printedObjects(text))
		want.daemonSet.Spec.Template.Spec.Containers[0].Image = "ghcr.io/cni-bpffs/bpffs:" + tt.version
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(deployment{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.version, diff)
		}
	}
	for line := range strings.Lines(mustRun(t, "tar", "--list", "--verbose", "--numeric-owner", "--utc", "--file", packChart(t, "v1.2.3"))) {
		if !strings.Contains(line, " 0/0 ") || !strings.Contains(line, " 1970-01-01 00:00 ") || strings.Contains(line, "kustomization") {
			t.Errorf("archive: got %s, want a part of the chart, without an owner and a time", line)
		}
	}
}

// TestChartInChart: somebody's own chart can have the chart as a part, with values for
// all of its parts.
func TestChartInChart(t *testing.T) {
	dir := testns.Files(t, map[string]string{
		"Chart.yaml":  "apiVersion: v2\nname: own\nversion: 1.0.0\ndependencies: [{name: bpffs, version: 0.0.0}]\n",
		"values.yaml": "global: {registry: example.com}\nbpffs: {binDir: /own}\n",
	})
	testns.Must(t, os.CopyFS(filepath.Join(dir, "charts/bpffs"), os.DirFS(chartDir)))
	text, err := helmTemplate(t, dir)
	testns.Must(t, err)
	d := deploymentOf(t, dir, printedObjects(text))
	if paths := hostPaths(d.daemonSet); paths["bin"] != "/own" {
		t.Errorf("directories of the node: got %v, want /own", paths)
	}
}
