package integration

import (
	"encoding/json"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containernetworking/cni/libcni"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/test/internal/node"
)

// otherVersions are values of cniVersion with which ADD fails, and the code of that.
func otherVersions() map[string]uint {
	return map[string]uint{
		"": 1, `"0.1.0"`: 1, `"0.2.0"`: 1, `"1.2.0"`: 1, `"9.9.9"`: 1, `""`: 1, `"x"`: 1, `"1"`: 1, `null`: 1,
		`7`: 6, `["1.0.0"]`: 6, `{}`: 6, `false`: 6,
	}
}

// confIn returns the configuration with the value of cniVersion, empty for none.
func confIn(version string, more ...keys) string {
	all := append([]keys{{"cniVersion": nil}}, more...)
	if version != "" {
		all = append(all, keys{"cniVersion": json.RawMessage(version)})
	}
	return conf(all...)
}

// TestDelInAnyVersion: where bpffs got into a list with a version that it does not
// support, pods can be deleted all the same.
func TestDelInAnyVersion(t *testing.T) {
	for version, code := range otherVersions() {
		t.Run("cniVersion "+version, func(t *testing.T) {
			p := newNode(t)
			p.addPinned(t, conf())
			p.Succeed(t, "DEL", confIn(version, keys{"prevResult": nil}))
			node.NothingLeft(t, defaultRoot)
			p.Succeed(t, "DEL", confIn(version))
			p.addPinned(t, conf(keys{"bpfRoot": customRoot}))
			p.Succeed(t, "DEL", confIn(version, keys{"bpfRoot": customRoot}))
			node.NothingLeft(t, customRoot)
			before := snapshot(t)
			says := []string{"cniVersion"}
			if code == 1 {
				says = append(says, `write "cniVersion": "1.0.0"`)
			}
			p.Fail(t, code, says, "ADD", confIn(version))
			for _, verb := range []string{"CHECK", "GC", "STATUS"} {
				if a := p.Call(t, verb, confIn(version)); a.Status == 0 {
					t.Errorf("%s in version %q: got %+v, want an error", verb, version, a)
				}
			}
			unchanged(t, before)
		})
	}
}

// TestDelInAnyVersionReachesTheMainPlugin: libcni deletes from the end of the list,
// and stops at the first plugin that fails.
func TestDelInAnyVersionReachesTheMainPlugin(t *testing.T) {
	const bridge = `{"type":"bridge","bridge":"cni-test0","ipam":{"type":"host-local","subnet":"10.77.0.0/24"}}`
	list := func(t *testing.T, version, plugins string) *libcni.NetworkConfigList {
		t.Helper()
		l, err := libcni.NetworkConfFromBytes([]byte(`{"cniVersion":"` + version + `","name":"net","plugins":[` + plugins + `]}`))
		testns.Must(t, err)
		return l
	}
	for version, supported := range map[string]bool{"0.1.0": true, "0.2.0": true, "1.2.0": false, "9.9.9": false} {
		t.Run(version, func(t *testing.T) {
			p := newNode(t)
			pod := newPod(t, "pod")
			cni := libcni.NewCNIConfigWithCacheDir([]string{node.CNIDir}, "/var/lib/cni", nil)
			rt := &libcni.RuntimeConf{ContainerID: "c1", NetNS: pod.NetNS, IfName: "eth0"}
			_, err := cni.AddNetworkList(t.Context(), list(t, "0.4.0", bridge), rt)
			testns.Must(t, err)
			p.addPinned(t, conf())
			err = cni.DelNetworkList(t.Context(), list(t, version, bridge+`,{"type":"bpffs"}`), rt)
			node.NothingLeft(t, defaultRoot)
			if !supported { // nor does bridge know it
				if err == nil || !strings.Contains(err.Error(), `type="bridge"`) {
					t.Errorf("DEL of the list: got %v, want the error of bridge", err)
				}
				return
			}
			testns.Must(t, err)
			leases, err := filepath.Glob("/var/lib/cni/networks/net/10.*")
			testns.Must(t, err)
			var left []net.Interface
			testns.Must(t, pod.Do(func() (err error) { left, err = net.Interfaces(); return err }))
			if len(left) != 1 || len(leases) > 0 {
				t.Errorf("after DEL: got the interfaces %v and the addresses %q, want lo and none", left, leases)
			}
		})
	}
}
