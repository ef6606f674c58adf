package integration

import (
	"regexp"
	"testing"

	"github.com/containernetworking/cni/libcni"
	"github.com/google/go-cmp/cmp"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/test/internal/node"
)

func TestVersion(t *testing.T) {
	p := newNode(t)
	info, err := libcni.NewCNIConfigWithCacheDir([]string{node.CNIDir}, "/var/lib/cni", nil).GetVersionInfo(t.Context(), "bpffs")
	testns.Must(t, err)
	want := []string{"0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"}
	if diff := cmp.Diff(want, info.SupportedVersions()); diff != "" {
		t.Errorf("VERSION as libcni reads it (-want +got):\n%s", diff)
	}
	a := p.Call(t, "VERSION", "", "CNI_CONTAINERID=", "CNI_IFNAME=", "CNI_NETNS=", "CNI_PATH=")
	if v := decode(t, a.Stdout)["cniVersion"]; a.Status != 0 || v != "1.1.0" {
		t.Errorf("VERSION: got %+v, want cniVersion 1.1.0", a)
	}
}

func TestByHand(t *testing.T) {
	a := newNode(t).Call(t, "", "")
	if !regexp.MustCompile(`(?m)^bpffs \S+, .*\n.*0\.3\.0, .* 1\.1\.0$`).MatchString(a.Stderr) || a.Stdout != "" || a.Status != 0 {
		t.Errorf("without CNI_COMMAND: got %+v, want the versions on stderr", a)
	}
}

// TestVerbsOfVersions: verbs that the version of the configuration does not have.
func TestVerbsOfVersions(t *testing.T) {
	p := newNode(t)
	before := snapshot(t)
	for verb, versions := range map[string][]string{
		"CHECK":  {"0.3.0", "0.3.1"},
		"GC":     {"0.3.0", "0.3.1", "0.4.0", "1.0.0"},
		"STATUS": {"0.3.0", "0.3.1", "0.4.0", "1.0.0"},
	} {
		for _, version := range versions {
			p.Fail(t, 1, []string{"cniVersion", version, verb}, verb, conf(keys{"cniVersion": version}))
		}
	}
	unchanged(t, before)
}

// TestResultVersions: the result is in the version of the configuration.
func TestResultVersions(t *testing.T) {
	for version, ip := range map[string]keys{
		"0.3.0": {"address": "10.0.0.2/24", "interface": 0.0, "version": "4"},
		"0.3.1": {"address": "10.0.0.2/24", "interface": 0.0, "version": "4"},
		"0.4.0": {"address": "10.0.0.2/24", "interface": 0.0, "version": "4"},
		"1.0.0": {"address": "10.0.0.2/24", "interface": 0.0},
		"1.1.0": {"address": "10.0.0.2/24", "interface": 0.0},
	} {
		t.Run(version, func(t *testing.T) {
			eth0 := map[string]any{"name": "eth0", "sandbox": "/run/netns/pod"}
			prev := keys{"cniVersion": version, "interfaces": []any{eth0}, "ips": []keys{ip}}
			out := newNode(t).Succeed(t, "ADD", conf(keys{"cniVersion": version, "prevResult": prev})).Stdout
			interfaces := []any{eth0}
			for _, path := range paths(t, out) {
				interfaces = append(interfaces, map[string]any{"name": path})
			}
			got := decode(t, out)
			delete(got, "dns") // empty, in versions that must have one
			want := map[string]any{"cniVersion": version, "interfaces": interfaces, "ips": []any{map[string]any(ip)}}
			if diff := cmp.Diff(want, got); diff != "" || len(interfaces) != 3 {
				t.Errorf("result with %d interfaces, want 3 (-want +got):\n%s", len(interfaces), diff)
			}
		})
	}
}

// TestStatusAfterAdd: STATUS needs none of the keys that only ADD gets.
func TestStatusAfterAdd(t *testing.T) {
	p := newNode(t)
	testns.Mount(t, "tmpfs", defaultRoot, "")
	status := conf(keys{"prevResult": nil})
	p.Succeed(t, "STATUS", status, "CNI_CONTAINERID=", "CNI_IFNAME=", "CNI_NETNS=")
	p.Add(t, conf(nil))
	before := snapshot(t)
	p.Succeed(t, "STATUS", status, "CNI_CONTAINERID=", "CNI_IFNAME=", "CNI_NETNS=")
	p.Fail(t, 7, []string{"mapPrefix", `"../x"`}, "STATUS", conf(keys{"mapPrefix": "../x"}))
	unchanged(t, before)
}
