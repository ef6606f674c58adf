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
			"deploy/base/kustomization.yaml": `newTag: "` + r.version + `"`,
			"deploy/chart/Chart.yaml":        `appVersion: "` + r.version + `"`,
		} {
			manifest, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil || !strings.Contains(string(manifest), want) {
				t.Errorf("%s: got %s, %v, want %s", name, manifest, err, want)
			}
		}
	})
}

// TestChartOfRelease: the chart of the release names the release's image.
func TestChartOfRelease(t *testing.T) {
	r := madeRelease(t)
	file := filepath.Join(r.dir, "bpffs-"+strings.TrimPrefix(r.version, "v")+".tgz")
	chart := mustRun(t, "tar", "-xzOf", file, "bpffs/Chart.yaml")
	if want := "\nappVersion: \"" + r.version + "\"\n"; !strings.Contains("\n"+chart, want) {
		t.Errorf("Chart.yaml: got %s, want %s", chart, want)
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
