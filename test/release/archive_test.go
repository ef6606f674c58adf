package release

import (
	"debug/elf"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/test/internal/pages"
)

// TestArchives: an archive has static programs of its architecture and version, no
// page that links to what is not in it, and manifests that name the release's image.
func TestArchives(t *testing.T) {
	r := madeRelease(t)
	r.eachArchive(t, func(t *testing.T, arch, dir string) {
		t.Helper()
		pages.CheckLinks(t, dir)
		for _, program := range []string{"bpffs", "bpffsctl"} {
			checkProgram(t, arch, filepath.Join(dir, program))
		}
		if arch == runtime.GOARCH {
			if says := mustRun(t, dir+"/bpffsctl", "version"); !strings.Contains(says, r.version) {
				t.Errorf("bpffsctl version: got %q, want %s", says, r.version)
			}
		}
		for name, want := range map[string]string{
			"base/kustomization.yaml": `newTag: "` + r.version + `"`,
			"chart/Chart.yaml":        `appVersion: "` + r.version + `"`,
		} {
			text, err := os.ReadFile(filepath.Join(dir, "deploy", name))
			if err != nil || !strings.Contains(string(text), want) {
				t.Errorf("deploy/%s: got %s, %v, want %s", name, text, err, want)
			}
		}
	})
}

// TestReleasedChart: the chart is that of the archives, for their image.
func TestReleasedChart(t *testing.T) {
	r := madeRelease(t)
	for name, want := range map[string]string{
		"Chart.yaml":               `appVersion: "` + r.version + `"`,
		"templates/daemonset.yaml": "kind: DaemonSet",
		"platforms/k3s.yaml":       "binDir: ",
	} {
		if text := mustRun(t, "tar", "-xzOf", r.file("-chart.tgz"), "bpffs/"+name); !strings.Contains(text, want) {
			t.Errorf("%s of the chart: got %s, want %s", name, text, want)
		}
	}
}

// checkProgram wants a program to be a static one of the architecture.
func checkProgram(t *testing.T, arch, path string) {
	t.Helper()
	machines := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}
	f, err := elf.Open(path)
	testns.Must(t, err)
	defer f.Close()
	if f.Machine != machines[arch] {
		t.Errorf("%s: got the machine %v, want %v", path, f.Machine, machines[arch])
	}
	if slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
		t.Errorf("%s: got a program that needs a loader, want a static one", path)
	}
}
