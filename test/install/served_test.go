package install

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// A network that the plugin cannot serve is refused before anything is touched. A
// command gives it another version, and leaves every other byte.
func TestUnservedVersions(t *testing.T) {
	versioned := func(keys string) string {
		return strings.Replace(list("net", "bridge", "portmap"), `  "cniVersion": "1.0.0",`, keys, 1)
	}
	for name, tt := range map[string]struct{ keys, says, then string }{
		"none":                 {``, "no cniVersion that the runtime knows", `"cniVersion": "1.0.0",`},
		"0.1.0":                {`  "cniVersion": "0.1.0",`, `"0.1.0"`, `  "cniVersion": "1.0.0",`},
		"0.2.0, in one line":   {`"cniVersion":"0.2.0",`, `"0.2.0"`, `"cniVersion":"1.0.0",`},
		"a future one":         {`  "cniVersion": "9.0.0",`, `"9.0.0"`, `  "cniVersion": "1.0.0",`},
		"a list of old ones":   {`  "cniVersions": ["0.1.0", "0.2.0"],`, `"0.2.0"`, ""},
		"a list of future one": {`  "cniVersions": ["8.0.0", "9.0.0"],`, "no cniVersion that the runtime knows", ""},
	} {
		for _, mode := range []string{"conflist", "drop-in"} {
			t.Run(name+"/"+mode, func(t *testing.T) {
				n := newNode(t, map[string]string{"10.conflist": versioned(tt.keys)})
				before := n.tree()
				for _, more := range [][]string{nil, {"--watch"}, {"--plugin-conf", pluginConf}, {"--cni-version", "0.2.0"}, {"--cni-version", "x"}} {
					words := []string{tt.says, "10.conflist", "--cni-version"}
					if len(more) > 0 && more[0] == "--cni-version" {
						words = []string{fmt.Sprintf("--cni-version %q: bpffs does not support it", more[1])}
					}
					n.fail(2, words, "install", append(more, "--mode", mode)...)
				}
				if diff := cmp.Diff(before, n.tree()); diff != "" {
					t.Errorf("refused (-before +after):\n%s", diff)
				}
				n.succeed("install", "--mode", mode, "--cni-version", "1.0.0")
				n.succeed("install") // it stays
				if got := n.types("net"); strings.Count(got, "bpffs") != 1 {
					t.Errorf("plugins: got %q, want bpffs once", got)
				}
				n.succeed("uninstall", "--force")
				got := string(contents(t, n.conf+"/10.conflist"))
				if want := versioned(tt.then); tt.then != "" && squeeze(got) != squeeze(want) || !strings.Contains(got, `"1.0.0"`) {
					t.Errorf("after uninstall: got %s, want %s", got, want)
				}
			})
		}
	}
}

// squeeze leaves out white space.
func squeeze(s string) string { return strings.Join(strings.Fields(s), "") }

// Every byte but those of the version stays, with the plugin in the list and without.
func TestSetVersionOnly(t *testing.T) {
	for _, file := range []string{"bridge.conflist", "calico.conflist", "flannel.conflist", "odd.conflist"} {
		data := string(contents(t, filepath.Join(lists, file)))
		n := newNode(t, map[string]string{"10.conflist": data})
		n.succeed("install", "--mode", "conflist", "--cni-version", "0.4.0")
		n.succeed("uninstall", "--force")
		got := string(contents(t, n.conf+"/10.conflist"))
		for _, version := range []string{"0.3.1", "1.0.0", "1.1.0"} {
			if strings.Replace(data, `"`+version+`"`, `"0.4.0"`, 1) == got {
				data = got
			}
		}
		if diff := cmp.Diff(data, got); diff != "" {
			t.Errorf("%s: more than the version changed (-want +got):\n%s", file, diff)
		}
	}
}

// The plugin comes directly after the one that makes the interface.
func TestOrder(t *testing.T) {
	for have, want := range map[string]string{
		"loopback bridge portmap":                "loopback bridge bpffs portmap",
		"tuning firewall ptp":                    "tuning firewall ptp bpffs",
		"flannel portmap bandwidth":              "flannel bpffs portmap bandwidth",
		"calico v2-6-istio-cni":                  "calico bpffs v2-6-istio-cni",
		"loopback bpffs bridge portmap":          "loopback bridge bpffs portmap",
		"bpffs bridge":                           "bridge bpffs",
		"bridge portmap bpffs firewall":          "bridge portmap bpffs firewall",
		"cilium-cni linkerd-cni":                 "cilium-cni bpffs linkerd-cni",
		"aws-cni egress-cni portmap":             "aws-cni bpffs egress-cni portmap",
		"loopback tuning sbr vrf macvlan tuning": "loopback tuning sbr vrf macvlan bpffs tuning",
	} {
		n := newNode(t, map[string]string{"10.conflist": list("net", strings.Fields(have)...)})
		before := n.tree()
		n.succeed("install", "--mode", "conflist")
		n.calls("net", want)
		n.again("conflist")
		n.succeed("uninstall", "--force")
		if diff := cmp.Diff(before, n.tree()); diff != "" && !strings.Contains(have, "bpffs") {
			t.Errorf("%s: after uninstall (-before +after):\n%s", have, diff)
		}
	}
}

// A list in which nothing makes an interface yet is waited for.
func TestWaitsForAnInterface(t *testing.T) {
	for _, types := range []string{"loopback", "loopback tuning", "portmap firewall", "istio-cni"} {
		t.Run(types, func(t *testing.T) {
			t.Parallel()
			n := newNode(t, map[string]string{"10.conflist": list("net", strings.Fields(types)...)})
			n.fail(2, []string{"no main plugin"}, "install", "--wait=false", "--mode", "conflist")
			n.calls("net", types)
			w := n.watch("--mode", "conflist")
			n.until("it to wait", func() bool { return strings.Contains(strings.Join(w.lines(), ""), "waiting") })
			n.write("net.d/10.conflist", list("net", append(strings.Fields(types), "bridge")...))
			n.eventually("net", types+" bridge bpffs")
			n.stop(w)
		})
	}
}

// A default never moves what is there, and a change that takes the paths from another
// plugin needs a flag that says so.
func TestLosePaths(t *testing.T) {
	for have, files := range map[string]map[string]string{
		"bridge bpffs datapath":       nil,
		"bridge bpffs portmap tuning": nil,
		"bridge bpffs datapath other": {"net/10-other.conf": `{"type":"other"}`},
	} {
		t.Run(have, func(t *testing.T) {
			inlined := strings.TrimSuffix(have, " other")
			all := map[string]string{"10.conflist": list("net", strings.Fields(inlined)...)}
			maps.Copy(all, files)
			n := newNode(t, all)
			n.succeed("install")
			n.calls("net", have)
			before := n.tree()
			for _, more := range []string{"", "--watch"} {
				n.fail(2, append(strings.Fields(have)[2:], "lose the paths", "--lose-paths", "--mode conflist"), "install", strings.Fields("--mode drop-in "+more)...)
			}
			if diff := cmp.Diff(before, n.tree()); diff != "" {
				t.Errorf("refused (-before +after):\n%s", diff)
			}
			n.succeed("install", "--mode", "drop-in", "--lose-paths")
			n.calls("net", strings.Replace(have, "bpffs ", "", 1)+" bpffs")
			n.succeed("install") // the default leaves that, too
			n.calls("net", strings.Replace(have, "bpffs ", "", 1)+" bpffs")
		})
	}
}

// Multus calls the drop-in files of an auxiliary chain, for which there is no list.
func TestAuxiliaryChain(t *testing.T) {
	const ovn = `{"cniVersion": "0.3.1", "name": "ovn-kubernetes", "type": "ovn-k8s-cni-overlay"}`
	for name, tt := range map[string]struct {
		chain string
		files map[string]string
	}{
		"OpenShift, no directory yet":    {"vendor-cni-chain", map[string]string{"10-ovn-kubernetes.conf": ovn}},
		"OpenShift, beside another":      {"vendor-cni-chain", map[string]string{"10-ovn-kubernetes.conf": ovn, "vendor-cni-chain/10-istio.conf": `{"type":"istio-cni"}`}},
		"OpenShift before its network":   {"vendor-cni-chain", nil},
		"a configuration that names one": {"more", map[string]string{"00-multus.conf": `{"name":"m","type":"multus-shim","auxiliaryCNIChainName":"more"}`}},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, tt.files)
			before := n.tree()
			n.fail(2, []string{tt.chain, "auxiliary chain", "--mode drop-in"}, "install", "--network", tt.chain, "--mode", "conflist")
			n.fail(2, []string{"no main plugin"}, "install", "--network", "another", "--mode", "drop-in", "--wait=false")
			for _, mode := range []string{"drop-in", "auto"} {
				n.succeed("install", "--network", tt.chain, "--mode", mode, "--plugin-conf", pluginConf)
				if got := n.tree()["net.d/"+tt.chain+"/bpffs.conf"]; !strings.Contains(got, `"type": "bpffs"`) {
					t.Errorf("%s: the file of the chain: got %q, want the plugin's configuration", mode, got)
				}
			}
			if says := n.succeed("install", "--network", tt.chain, "--mode", "drop-in"); says != "" {
				t.Errorf("installed again: got %q, want nothing", says)
			}
			n.succeed("uninstall", "--root", testns.BPFFS(t))
			delete(before, "bin/bpffs")
			if diff := cmp.Diff(before, n.tree()); diff != "" {
				t.Errorf("after uninstall (-before +after):\n%s", diff)
			}
		})
	}
	n := newNode(t, nil)
	w := n.watch("--network", "vendor-cni-chain", "--mode", "drop-in")
	there := func() bool { _, err := os.Stat(n.conf + "/vendor-cni-chain/bpffs.conf"); return err == nil }
	n.until("the file", there)
	n.remove(n.conf + "/vendor-cni-chain")
	n.until("the file to be back", there)
	n.stop(w)
}
