package release

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// TestImage: the image has for each architecture what the archive has: the programs
// and the licences.
func TestImage(t *testing.T) {
	r := madeRelease(t)
	r.eachArchive(t, func(t *testing.T, arch, dir string) {
		t.Helper()
		root := r.unpackedImage(t, arch)
		for _, name := range []string{"bpffs", "bpffsctl", "LICENSE", "licenses"} {
			mustRun(t, "diff", "-r", filepath.Join(dir, name), filepath.Join(root, name))
		}
		entries, err := os.ReadDir(root)
		if err != nil || len(entries) != 4 {
			t.Errorf("image for %s: got %v, %v, want no more than these four", arch, entries, err)
		}
	})
}

// unpackedImage returns a directory with the root of the image for an architecture.
func (r release) unpackedImage(t *testing.T, arch string) string {
	t.Helper()
	copied, root := t.TempDir(), t.TempDir()
	mustRun(t, "skopeo", "--override-arch", arch, "copy", "oci-archive:"+r.image(), "dir:"+copied)
	var manifest struct{ Layers []struct{ Digest string } }
	text, err := os.ReadFile(copied + "/manifest.json")
	testns.Must(t, err)
	testns.Must(t, json.Unmarshal(text, &manifest))
	for _, layer := range manifest.Layers {
		mustRun(t, "tar", "-xzf", filepath.Join(copied, strings.TrimPrefix(layer.Digest, "sha256:")), "-C", root)
	}
	return root
}

// TestImageIndex: the index of the image has one entry for each architecture.
func TestImageIndex(t *testing.T) {
	r := madeRelease(t)
	type platform struct{ OS, Architecture string }
	var index struct{ Manifests []struct{ Platform platform } }
	testns.Must(t, json.Unmarshal([]byte(mustRun(t, "skopeo", "inspect", "--raw", "oci-archive:"+r.image())), &index))
	var got []platform
	for _, m := range index.Manifests {
		got = append(got, m.Platform)
	}
	want := []platform{{"linux", "amd64"}, {"linux", "arm64"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("platforms of the image (-want +got):\n%s", diff)
	}
}
