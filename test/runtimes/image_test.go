package runtimes

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// writeImage writes an image with nothing but programs, by their names in it, of which
// it runs pod. The image has the form of "docker save". writeImage returns the file.
func writeImage(t *testing.T, image string, programs map[string]string) string {
	t.Helper()
	content := make(map[string][]byte)
	for name, file := range programs {
		program, err := os.ReadFile(file)
		if err != nil {
			t.Fatalf("%v: run make test-runtimes", err)
		}
		content[name] = program
	}
	layer := archive(t, content)
	config := fmt.Appendf(nil, `{"architecture": %q, "os": "linux", "config": {"Entrypoint": ["/pod"]},
		"rootfs": {"type": "layers", "diff_ids": ["sha256:%s"]}}`, runtime.GOARCH, digest(layer))
	manifest := fmt.Appendf(nil, `[{"Config": "%s.json", "RepoTags": [%q], "Layers": ["layer.tar"]}]`, digest(config), image)
	file := filepath.Join(t.TempDir(), "image.tar")
	err := os.WriteFile(file, archive(t, map[string][]byte{
		"manifest.json": manifest, digest(config) + ".json": config, "layer.tar": layer,
	}), 0o600)
	testns.Must(t, err)
	return file
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// archive returns a tar archive of executable files.
func archive(t *testing.T, files map[string][]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for name, content := range files {
		err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o755, Size: int64(len(content))})
		if err == nil {
			_, err = w.Write(content)
		}
		testns.Must(t, err)
	}
	testns.Must(t, w.Close())
	return b.Bytes()
}

// rootfs makes a directory with what the image has, which every user can read.
func rootfs(t *testing.T) string {
	t.Helper()
	const dir = "/run/rootfs"
	for _, d := range []string{"proc", "sys", "dev", "etc", "run", "tmp"} {
		testns.Must(t, os.MkdirAll(filepath.Join(dir, d), 0o755))
	}
	mustRun(t, "cp", bins+"/runtimes/own/pod", dir)
	return dir
}
