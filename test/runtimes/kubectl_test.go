package runtimes

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/test/internal/plugintest"
)

// kubectl runs it, with an input if there is one.
func kubectl(t *testing.T, stdin []byte, args ...string) plugintest.Answer {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(bins, "cluster", "kubectl"), args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + clusterDir, "KUBECONFIG=" + adminConfig}
	cmd.Stdin = bytes.NewReader(stdin)
	a, err := plugintest.Run(cmd)
	testns.Must(t, err)
	return a
}

// mustKubectl wants success, and returns what kubectl prints.
func mustKubectl(t *testing.T, args ...string) string {
	t.Helper()
	return mustInput(t, nil, args...)
}

func mustInput(t *testing.T, stdin []byte, args ...string) string {
	t.Helper()
	a := kubectl(t, stdin, args...)
	if a.Status != 0 {
		t.Fatalf("kubectl %s: got %+v, want success", strings.Join(args, " "), a)
	}
	return a.Stdout
}

// awaitKubectl waits until kubectl succeeds and prints what is wanted.
func awaitKubectl(t *testing.T, wanted func(out string) bool, args ...string) {
	t.Helper()
	var a plugintest.Answer
	defer func() { t.Logf("kubectl %s:\n%s", strings.Join(args, " "), a.Stdout) }()
	waitWithin(t, clusterTime, fmt.Sprintf("kubectl %q", args), func() bool {
		a = kubectl(t, nil, args...)
		return a.Status == 0 && wanted(a.Stdout)
	})
}

// kubeObject returns what kubectl prints as JSON.
func kubeObject[T any](t *testing.T, args ...string) (o T) {
	t.Helper()
	testns.Must(t, json.Unmarshal([]byte(mustKubectl(t, append(args, "--output=json")...)), &o))
	return o
}
