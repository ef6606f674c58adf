package integration

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/google/go-cmp/cmp"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/test/internal/document"
	"github.com/cni-bpffs/cni-bpffs/test/internal/node"
	"github.com/cni-bpffs/cni-bpffs/test/internal/plugintest"
)

// The documents with examples.
const (
	readme     = top + "/README.md"
	operations = top + "/docs/operations.md"
)

// exampleNode is the node of the examples in the documentation: four pods with the
// maps of conf/bpffs.conf, for which a datapath has pinned the other map. One has
// lost its network namespace, another a map.
func exampleNode(t *testing.T) {
	t.Helper()
	p := newNode(t)
	raw, err := os.ReadFile(top + "/conf/bpffs.conf")
	testns.Must(t, err)
	testns.Must(t, node.Configure("10-flannel.conflist", fmt.Appendf(nil,
		`{"cniVersion": "1.0.0", "name": "cbr0", "plugins": [{"type": "bridge"}, %s]}`, raw)))
	for i, name := range []string{"default/web-7d4b9c6f5-x2x7q", "kube-system/coredns-66bc5c9577-9hq2m", "default/web-7d4b9c6f5-8kklp", "shop/redis-0"} {
		netns := fmt.Sprintf("cni-77c1e2a%d", i)
		pod, err := node.NewPod(netns)
		testns.Must(t, err)
		namespace, name, _ := strings.Cut(name, "/")
		pins := p.Add(t, inNetwork(string(raw)), "CNI_CONTAINERID="+container(i), "CNI_NETNS="+pod.NetNS,
			"CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAMESPACE="+namespace+";K8S_POD_NAME="+name)
		policy, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Hash, KeySize: 4, ValueSize: 8, MaxEntries: 1024})
		testns.Must(t, err)
		testns.Must(t, policy.Pin(pins[0]))
		testns.Must(t, policy.Close())
		switch name {
		case "web-7d4b9c6f5-x2x7q":
			testns.Must(t, pod.Crash())
		case "redis-0":
			testns.Must(t, os.Remove(pins[1]))
		}
	}
}

// container returns the ID of the nth container.
func container(n int) string { return strings.Repeat(fmt.Sprintf("8d74beec1be9%04d", n), 4) }

// inNetwork returns the plugin's configuration as the runtime hands it over.
func inNetwork(plugin string) string {
	return strings.Replace(plugin, "{", `{"cniVersion": "1.0.0", "name": "cbr0", "prevResult": {"cniVersion": "1.0.0", "interfaces": []},`, 1)
}

// The examples in the documentation are what the commands print on such a node. Their
// rows are in another order where IDs are.
func TestExamples(t *testing.T) {
	exampleNode(t)
	testns.Must(t, os.WriteFile("/run/node/live", []byte(strings.Join([]string{container(1), container(2), container(3)}, "\n")), 0o600))
	for _, tt := range []struct{ document, command, more string }{
		{readme, "bpffsctl list", ""},
		{operations, "bpffsctl list", ""},
		{operations, "bpffsctl show redis-0", ""},
		{operations, "bpffsctl gc --live-from live", "--older-than 0s"},
	} {
		words := append(strings.Fields(tt.command)[1:], strings.Fields(tt.more)...)
		cmd := exec.Command(node.BinDir+"/bpffsctl", words...)
		cmd.Dir = "/run/node"
		a, err := plugintest.Run(cmd)
		testns.Must(t, err)
		compare(t, tt.document+", "+tt.command, document.Block(t, tt.document, tt.command), a.Stdout+a.Stderr)
	}
}

// compare wants an example to be what was printed.
func compare(t *testing.T, what string, example []string, printed string) {
	t.Helper()
	var want, got []string
	for _, line := range document.Lines(printed) {
		want = append(want, document.Shape(line))
	}
	for _, line := range example {
		got = append(got, document.Shape(line))
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-printed +in the documentation):\n%s\nprinted:\n%s", what, diff, printed)
	}
}

// What doctor says in the README is among what it says on a node with such faults.
func TestDoctorExample(t *testing.T) {
	exampleNode(t)
	testns.Must(t, os.Chmod(defaultRoot+"/tc/globals", 0o770))
	a, err := plugintest.Run(exec.Command(node.BinDir+"/bpffsctl", "doctor", "--bin-dir", node.BinDir, "--conf-dir", node.ConfDir))
	testns.Must(t, err)
	printed := document.Shape(a.Stdout)
	for _, line := range document.Block(t, readme, "bpffsctl doctor") {
		if !strings.Contains(printed, document.Shape(line)) {
			t.Errorf("README.md: got the line %q, want one of\n%s", line, a.Stdout)
		}
	}
}
