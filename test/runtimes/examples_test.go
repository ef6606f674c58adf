package runtimes

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/containernetworking/cni/libcni"
	"github.com/containernetworking/cni/pkg/types"
	types100 "github.com/containernetworking/cni/pkg/types/100"
	"github.com/google/go-cmp/cmp"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
	"github.com/cni-bpffs/cni-bpffs/test/internal/node"
	"github.com/cni-bpffs/cni-bpffs/test/internal/plugintest"
)

// The examples of a plugin in shell and a program in C.
const (
	bashExample = top + "/examples/bash/policy"
	cExample    = top + "/examples/libbpf/policy.c"
)

// policyChain is a network of a bridge, bpffs with a map policy_, and the plugin policy.
func policyChain(version string) string {
	const ours = `{"type": "bpffs", "maps": [{"name": "policy_", "type": "hash", "keySize": 4, "valueSize": 8, "maxEntries": 16}]}`
	return strings.Replace(conflist(version, ours), `"pktcount"`, `"policy"`, 1)
}

// TestPolicyExamples: the plugin in shell enters the pod's address into its map, in every
// version and verb; the program in C shows and sets entries, by the path in the result
// and by the endpoint.
func TestPolicyExamples(t *testing.T) {
	if !onNode(t) {
		return
	}
	works(t, "programs", "a plugin in bash and jq, and libbpf in C, on its map; cniVersion 0.3.1 to 1.1.0")
	example, err := filepath.Abs(bashExample)
	testns.Must(t, err)
	testns.Must(t, os.Symlink(example, filepath.Join(cniBin, "policy")))
	program := filepath.Join(t.TempDir(), "policy")
	mustRun(t, "gcc", "-Wall", "-Wextra", "-Werror", "-o", program, cExample, "-lbpf")
	for _, version := range []string{"0.3.1", "0.4.0", "1.0.0", "1.1.0"} {
		t.Run(version, func(t *testing.T) {
			policyLife(t, version, program)
		})
	}
}

func policyLife(t *testing.T, version, program string) {
	t.Helper()
	list, err := libcni.NetworkConfFromBytes([]byte(policyChain(version)))
	testns.Must(t, err)
	cni := libcni.NewCNIConfigWithCacheDir([]string{cniBin}, "/run/node/cache", nil)
	ctx := t.Context()
	testns.Must(t, cni.GetStatusNetworkList(ctx, list))
	_, err = cni.ValidateNetworkList(ctx, list) // which asks each plugin for its versions
	testns.Must(t, err)
	pod, err := node.NewPod("pod")
	testns.Must(t, err)
	defer func() { testns.Must(t, pod.Crash()) }()
	rt := &libcni.RuntimeConf{ContainerID: "pod-" + version, NetNS: pod.NetNS, IfName: "eth0"}
	result, err := cni.AddNetworkList(ctx, list, rt)
	testns.Must(t, err)
	usePolicy(t, result, program)
	if version != "0.3.1" { // which has no CHECK
		testns.Must(t, cni.CheckNetworkList(ctx, list, rt))
	}
	for range 2 {
		testns.Must(t, cni.DelNetworkList(context.WithoutCancel(ctx), list, rt))
	}
	testns.Must(t, cni.GCNetworkList(ctx, list, &libcni.GCArgs{}))
	nothingLeft(t)
}

// usePolicy looks at the pod's map by the program in C, and changes it.
func usePolicy(t *testing.T, result types.Result, program string) {
	t.Helper()
	r, err := types100.NewResultFromResult(result)
	testns.Must(t, err)
	maps := bpffs.LocalMaps(r)
	if len(maps) != 1 || len(r.IPs) != 1 {
		t.Fatalf("the result of ADD: got %d maps and %d addresses, want one of each", len(maps), len(r.IPs))
	}
	address, id := r.IPs[0].Address.IP, fmt.Sprint(maps[0].EndpointID)
	for _, which := range []string{maps[0].Path, id} {
		if got, want := mustRun(t, program, which), fmt.Sprintf("%v 1\n", address); got != want {
			t.Errorf("policy %s: got %q, want %q", which, got, want)
		}
	}
	mustRun(t, program, id, "192.0.2.1", "7")
	m, err := ebpf.LoadPinnedMap(maps[0].Path, nil)
	testns.Must(t, err)
	defer m.Close()
	got := make(map[[4]byte]uint64)
	var key [4]byte
	var value uint64
	for i := m.Iterate(); i.Next(&key, &value); {
		got[key] = value
	}
	if diff := cmp.Diff(map[[4]byte]uint64{[4]byte(address.To4()): 1, {192, 0, 2, 1}: 7}, got); diff != "" {
		t.Errorf("entries after the plugin in shell and the program in C (-want +got):\n%s", diff)
	}
}

// TestBashExampleFails calls the plugin in shell without what it needs: it answers with an
// error as CNI has them.
func TestBashExampleFails(t *testing.T) {
	if !onNode(t) {
		return
	}
	p := plugintest.Plugin{Argv: []string{bashExample}, Env: []string{"PATH=" + os.Getenv("PATH")}}
	const eth0, ips = `{"name": "eth0"}`, `[{"address": "10.0.0.2/24"}]`
	const policy = `{"name": "/sys/fs/bpf/tc/globals/policy_00042"}`
	for _, tt := range []struct {
		verb, interfaces, ips string
		code                  uint
		want                  string
	}{
		{"ADD", eth0, ips, 7, "no map policy_ in prevResult"},
		{"ADD", `{"name": "/sys/fs/bpf/tc/globals/other_policy_00042"}`, ips, 7, "no map policy_ in prevResult"},
		{"ADD", eth0 + "," + policy, `[{"address": "fd00::2/64"}]`, 7, "no IPv4 address"},
		{"ADD", eth0 + "," + policy, ips, 100, "policy_00042"}, // which is not there
		{"PRUNE", eth0, ips, 4, "PRUNE"},
	} {
		conf := fmt.Sprintf(`{"cniVersion": "1.0.0", "name": "net", "type": "policy", "prevResult": {"cniVersion": "1.0.0", "interfaces": [%s], "ips": %s}}`,
			tt.interfaces, tt.ips)
		p.Fail(t, tt.code, []string{tt.want}, tt.verb, conf)
	}
	empty := t.TempDir()
	for _, tool := range []string{"bash", "cat", "jq"} {
		path, err := exec.LookPath(tool)
		testns.Must(t, err)
		testns.Must(t, os.Symlink(path, filepath.Join(empty, tool)))
	}
	p.Env = []string{"PATH=" + empty}
	p.Fail(t, 50, []string{"bpftool"}, "STATUS", `{"cniVersion": "1.1.0", "name": "net", "type": "policy"}`)
}
