package runtimes

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestManifestsAreValid asks the code of an API server whether it would create the
// objects, for what can be decoded need not be valid.
func TestManifestsAreValid(t *testing.T) {
	needAPIServer(t)
	dirs := []string{
		"base", "overlays/kubeadm", "overlays/k3s", "overlays/microk8s", "overlays/gke", "overlays/openshift",
		withComponent(t, "overlays/kubeadm", otherOwner), withComponent(t, "overlays/k3s", podVolume),
	}
	for _, dir := range dirs {
		if out, err := create(kubernetesObjects(t, dir)); err != nil {
			t.Errorf("deploy/%s: got %v, want success: %s", dir, err, out)
		}
	}
}

func TestWhatIsNotValidIsRefused(t *testing.T) {
	needAPIServer(t)
	objects := string(kubernetesObjects(t, "base"))
	for _, tt := range []struct{ name, from, to, want string }{
		{"no pod may ever be missing", "maxUnavailable: 1", "maxUnavailable: 0", "cannot be 0 when"},
		{"a mount without a volume", "name: conf\n", "name: config\n", "spec.template.spec.containers[0].volumeMounts"},
		{"privileged against its own word", "privileged: false", "privileged: true", "allowPrivilegeEscalation"},
		{"a request above the limit", "memory: 16Mi", "memory: 64Mi", "must be less than or equal to memory limit"},
		{"a selector that misses", "matchLabels:\n", "matchLabels:\n      other: label\n", "does not match template"},
		{"a field that is not known", "hostNetwork:", "hostsNetwork:", "unknown field"},
		{"a setting that has gone", "metadata:\n      annotations:", "metadata:\n      annotations:\n        scheduler.alpha.kubernetes.io/critical-pod: \"\"", "warning"},
	} {
		changed := strings.Replace(objects, tt.from, tt.to, 1)
		out, err := create([]byte(changed))
		if err == nil || !strings.Contains(string(out), tt.want) || changed == objects {
			t.Errorf("%s: got %v: %s, want an error with %q", tt.name, err, out, tt.want)
		}
	}
}

// create asks whether objects would be created.
func create(objects []byte) ([]byte, error) {
	cmd := exec.Command(top + "/bin/kubelet/apiserver")
	cmd.Stdin = bytes.NewReader(objects)
	return cmd.CombinedOutput()
}

// kubernetesObjects returns those objects of a directory in deploy/ that are
// Kubernetes' own.
func kubernetesObjects(t *testing.T, dir string) []byte {
	t.Helper()
	var own [][]byte
	for _, text := range render(t, dir) {
		if !isOpenShift(text) {
			own = append(own, text)
		}
	}
	return bytes.Join(own, []byte("---\n"))
}

func needAPIServer(t *testing.T) {
	t.Helper()
	if os.Getenv(kubeletVar) == "" {
		t.Skip("no " + kubeletVar + ": run make test-kubelet")
	}
}
