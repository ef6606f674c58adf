package integration

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
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

// TestResultVersions: the result is in the version of the configuration, and what
// the plugin does not know stays.
func TestResultVersions(t *testing.T) {
	for _, tt := range []struct{ version, ip string }{
		{"0.3.0", `{"address":"10.0.0.2/24","interface":0,"version":"4","x":1}`},
		{"0.3.1", `{"address":"10.0.0.2/24","interface":0,"version":"4","x":1}`},
		{"0.4.0", `{"address":"10.0.0.2/24","interface":0,"version":"4","x":1}`},
		{"1.0.0", `{"address":"10.0.0.2/24","interface":0,"x":1}`},
		{"1.1.0", `{"address":"10.0.0.2/24","interface":0,"x":1}`},
	} {
		t.Run(tt.version, func(t *testing.T) {
			p := newNode(t)
			prev := fmt.Sprintf(`{"cniVersion":%q,"dns":{"y":[1e400]},"interfaces":[{"name":"eth0","z":null}],"ips":[%s]}`, tt.version, tt.ip)
			out := p.Succeed(t, "ADD", conf(keys{"cniVersion": tt.version, "prevResult": json.RawMessage(prev)})).Stdout
			want := prev
			for _, path := range paths(t, out) {
				want = strings.Replace(want, `],"ips"`, fmt.Sprintf(`,{"name":%q}],"ips"`, path), 1)
			}
			if got := strings.TrimSpace(out); got != want {
				t.Errorf("result of %s: got %s, want %s", prev, got, want)
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
