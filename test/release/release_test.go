// Package release tests what "make release" made: what is in the archives, in the
// lists of their contents (SBOM) and in the image.
package release

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// releaseVar names the directory with the release.
const releaseVar = "BPFFS_RELEASE"

// A release is one for some architectures.
type release struct {
	dir     string
	version string
}

func madeRelease(t *testing.T) release {
	t.Helper()
	dir := os.Getenv(releaseVar)
	if dir == "" {
		t.Skip("no " + releaseVar + ": run make check-release")
	}
	images, err := filepath.Glob(dir + "/bpffs-*-image.tar")
	if err != nil || len(images) != 1 {
		t.Fatalf("images in %s: got %q, %v, want one", dir, images, err)
	}
	version := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(images[0]), "bpffs-"), "-image.tar")
	return release{dir, version}
}

// image is the file with the image for all architectures.
func (r release) image() string { return r.file("-image.tar") }

// file is that of the release whose name ends so.
func (r release) file(suffix string) string { return filepath.Join(r.dir, "bpffs-"+r.version+suffix) }

// eachArchive runs a test on each unpacked archive of the release.
func (r release) eachArchive(t *testing.T, test func(t *testing.T, arch, dir string)) {
	t.Helper()
	for _, arch := range []string{"amd64", "arm64"} {
		t.Run(arch, func(t *testing.T) {
			dir := t.TempDir()
			mustRun(t, "tar", "-xzf", r.file("-linux-"+arch+".tar.gz"), "-C", dir)
			test(t, arch, filepath.Join(dir, "bpffs-"+r.version+"-linux-"+arch))
		})
	}
}

// mustRun runs a command and returns what it prints.
func mustRun(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// TestChecksums: every file of the release has its checksum in SHA256SUMS.
func TestChecksums(t *testing.T) {
	r := madeRelease(t)
	files, err := os.ReadDir(r.dir)
	testns.Must(t, err)
	checked := mustRun(t, "sh", "-c", `cd "$1" && sha256sum --check --strict SHA256SUMS`, "sh", r.dir)
	for _, f := range files {
		if f.Name() != "SHA256SUMS" && !strings.Contains("\n"+checked, "\n"+f.Name()+": OK\n") {
			t.Errorf("%s: got %q, want it to be checked", f.Name(), checked)
		}
	}
}
