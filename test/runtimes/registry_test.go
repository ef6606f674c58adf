package runtimes

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	core "k8s.io/api/core/v1"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// What docs/registry.md shows works.

const (
	registryPage = top + "/docs/registry.md"
	registryDir  = "/run/registry"
	registryHost = "registry.example.com" // as on the page
	registryUser = "robot"
	registryPass = "secret"
)

// TestRegistry pushes the image to a registry that wants a password, and lets
// containerd pull it: the DaemonSet's container installs the plugin from there.
func TestRegistry(t *testing.T) {
	if !onNode(t) {
		return
	}
	startRegistry(t)
	rt := newContainerd(t, "2.4")
	works(t, rt.subject(), "the image from a private registry, both architectures, by its digest and with a password")
	testns.Must(t, os.Remove(cniBin+"/bpffs")) // a link to what was built
	digest := pushInstaller(t)
	d := deploymentIn(t, registryOverlay(t, digest))
	ref := d.daemonSet.Spec.Template.Spec.Containers[0].Image
	if want := registryHost + "/bpffs@" + digest; ref != want {
		t.Errorf("image of the overlay: got %s, want %s", ref, want)
	}
	if got := d.account.ImagePullSecrets; len(got) != 1 || got[0] != (core.LocalObjectReference{Name: "bpffs-registry"}) {
		t.Errorf("imagePullSecrets of the overlay: got %v, want bpffs-registry", got)
	}
	if err := rt.pull(t, ref, nil); err == nil || !strings.Contains(err.Error(), "no basic auth credentials") {
		t.Errorf("pulling without a password: got %v, want a refusal that names it", err)
	}
	testns.Must(t, rt.pull(t, ref, &cri.AuthConfig{Username: registryUser, Password: registryPass}))
	alone := conflist("1.0.0")
	rt.network(t, alone)
	installer := rt.newPod(t, "bpffs")
	installer.namespaces().Network = cri.NamespaceMode_NODE
	must(t, installer.run)
	installer.containerLike(t, d)
	rt.takesPlugin(t, alone)
	installer.end(t)
}

// startRegistry starts Debian's registry at the address of the page, with a
// certificate that what starts later trusts, and waits until it asks for a password.
func startRegistry(t *testing.T) {
	t.Helper()
	testns.Must(t, os.MkdirAll(registryDir, 0o755))
	for _, name := range []string{"registry.yml", "htpasswd", "hosts"} {
		text, err := files.ReadFile("config/" + name)
		testns.Must(t, err)
		write(t, filepath.Join(registryDir, name), string(text))
	}
	testns.Must(t, unix.Mount(registryDir+"/hosts", "/etc/hosts", "", unix.MS_BIND, ""))
	mustRun(t, "openssl", "req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", "/CN=test",
		"-addext", "subjectAltName=DNS:"+registryHost, "-keyout", registryDir+"/key.pem", "-out", registryDir+"/cert.pem")
	t.Setenv("SSL_CERT_FILE", registryDir+"/cert.pem")
	log, err := os.Create(registryDir + "/log")
	testns.Must(t, err)
	defer log.Close()
	cmd := exec.Command("docker-registry", "serve", registryDir+"/registry.yml")
	cmd.Stdout, cmd.Stderr = log, log
	testns.Must(t, cmd.Start())
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	waitFor(t, "the registry to ask for a password", func() bool {
		_, err := run(t, nil, "skopeo", "inspect", "docker://"+registryHost+"/bpffs:none")
		return err != nil && strings.Contains(err.Error(), "authentication required")
	})
}

// pushInstaller pushes the image of the DaemonSet with the commands of the page, and
// returns the digest of its index.
func pushInstaller(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	image := dir + "/bpffs-v0.1.0-image.tar" // as the commands name it
	write(t, dir+"/password", registryPass)
	testns.Must(t, os.Rename(writeInstaller(t, installerImage, bins+"/bpffs", bins+"/bpffsctl"), image))
	t.Setenv("REGISTRY_AUTH_FILE", dir+"/auth.json")
	out := mustRun(t, "sh", "-euc", "cd "+dir+"\n"+snippets(t, registryPage, "sh")[0])
	want := "amd64\narm64\n" + indexDigest(t, image) + "\n"
	if !strings.HasSuffix(out, want) {
		t.Fatalf("pushing: got %q, want %q at the end", out, want)
	}
	return indexDigest(t, image)
}

// indexDigest returns the digest of the index in an OCI archive.
func indexDigest(t *testing.T, file string) string {
	t.Helper()
	var index struct{ Manifests []struct{ Digest string } }
	testns.Must(t, json.Unmarshal([]byte(mustRun(t, "tar", "-xOf", file, "./index.json")), &index))
	if len(index.Manifests) != 1 {
		t.Fatalf("index.json of the image: got %+v, want one index", index)
	}
	return index.Manifests[0].Digest
}

// registryOverlay makes the overlay of the page, with this digest, and returns its
// directory.
func registryOverlay(t *testing.T, digest string) (dir string) {
	t.Helper()
	return ownOverlay(t, strings.Replace(snippets(t, registryPage, "yaml")[0], "sha256:"+strings.Repeat("0", 64), digest, 1))
}

// pull lets containerd pull an image.
func (c *containerd) pull(t *testing.T, ref string, auth *cri.AuthConfig) error {
	t.Helper()
	_, err := cri.NewImageServiceClient(c.conn).PullImage(t.Context(), &cri.PullImageRequest{Image: &cri.ImageSpec{Image: ref}, Auth: auth})
	return err
}
