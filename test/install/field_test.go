package install

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// A field is a configuration directory as main plugins leave it on nodes. The lists
// are written by us after the documented form of each, with the keys that it has.
type field struct {
	name   string
	files  map[string]string // by name, as JSON in one line
	layout string            // that the main plugin gives them
	args   string            // of install
	calls  string            // the network and its plugins afterwards
	behind string            // if bpffs is a drop-in file
	says   []string          // why it is refused
}

// What many lists have.
const (
	portmap   = `{"type": "portmap", "snat": true, "capabilities": {"portMappings": true}}`
	bandwidth = `{"type": "bandwidth", "capabilities": {"bandwidth": true}}`
	hostLocal = `"ipam": {"type": "host-local", "dataDir": "/run/cni-ipam-state", "routes": [{"dst": "0.0.0.0/0"}], "ranges": [[{"subnet": "10.244.0.0/24"}]]}`
	flannel   = `{"type": "flannel", "delegate": {"hairpinMode": true, "isDefaultGateway": true}}`
	calico    = `{"type": "calico", "log_level": "info", "log_file_path": "/var/log/calico/cni/cni.log", "datastore_type": "kubernetes", "nodename": "n1", "mtu": 0, "ipam": {"type": "calico-ipam"}, "policy": {"type": "k8s"}, "kubernetes": {"kubeconfig": "/etc/cni/net.d/calico-kubeconfig"}}`
	awsCNI    = `{"name": "aws-cni", "type": "aws-cni", "vethPrefix": "eni", "mtu": "9001", "podSGEnforcingMode": "strict", "pluginLogFile": "/var/log/aws-routed-eni/plugin.log", "pluginLogLevel": "DEBUG", "capabilities": {"io.kubernetes.cri.pod-annotations": true}}`
	multus    = `{"cniVersion": "0.3.1", "name": "multus-cni-network", "type": "multus-shim", "logLevel": "verbose", "capabilities": {"portMappings": true}, "clusterNetwork": "/host/etc/cni/net.d/10-flannel.conflist"}`
	multusOld = `{"cniVersion": "0.3.1", "name": "multus-cni-network", "type": "multus", "kubeconfig": "/etc/cni/net.d/multus.d/multus.kubeconfig", "delegates": [{"cniVersion": "0.3.1", "name": "cbr0", "plugins": [` + flannel + `, ` + portmap + `]}]}`
)

// conf returns a list in one line.
func conf(version, name string, plugins ...string) string {
	if version != "" {
		version = `"cniVersion": "` + version + `", `
	}
	return `{` + version + `"name": "` + name + `", "plugins": [` + strings.Join(plugins, ", ") + `]}`
}

func one(file, content string) map[string]string { return map[string]string{file: content} }

// fields are what is found on nodes.
func fields() []field {
	return slices.Concat(clouds(), meshes(), flannels(), several(), single())
}

func clouds() []field {
	return []field{
		{
			name: "EKS, Amazon VPC", layout: "two spaces", files: one("10-aws.conflist", strings.Replace(conf("0.4.0", "aws-cni", awsCNI,
				`{"name": "egress-cni", "type": "egress-cni", "mtu": "9001", "enabled": "false", "randomizeSNAT": "prng", "nodeIP": "", `+hostLocal+`, "pluginLogFile": "/var/log/aws-routed-eni/egress-v6-plugin.log", "pluginLogLevel": "DEBUG"}`,
				portmap), `"plugins"`, `"disableCheck": true, "plugins"`, 1)),
			calls: "aws-cni: aws-cni bpffs egress-cni portmap", behind: "aws-cni egress-cni portmap bpffs",
		},
		{
			name: "AKS, Azure", layout: "three spaces", files: one("10-azure.conflist", conf("0.3.0", "azure",
				`{"type": "azure-vnet", "mode": "transparent", "ipsToRouteViaHost": ["169.254.20.10"], "ipam": {"type": "azure-vnet-ipam"}}`, portmap)),
			calls: "azure: azure-vnet bpffs portmap", behind: "azure-vnet portmap bpffs",
		},
		{
			name: "kind", layout: "tabs", files: one("10-kindnet.conflist", conf("0.3.1", "kindnet", `{"type": "ptp", "ipMasq": false, `+hostLocal+`, "mtu": 1500}`,
				`{"type": "portmap", "capabilities": {"portMappings": true}}`)),
			calls: "kindnet: ptp bpffs portmap", behind: "ptp portmap bpffs",
		},
		{
			name: "minikube", layout: "two spaces, no end of line", files: one("1-k8s.conflist", conf("0.4.0", "bridge",
				`{"type": "bridge", "bridge": "bridge", "addIf": "true", "isDefaultGateway": true, "forceAddress": false, "ipMasq": true, "hairpinMode": true, `+hostLocal+`}`,
				portmap, `{"type": "firewall"}`)),
			calls: "bridge: bridge bpffs portmap firewall", behind: "bridge portmap firewall bpffs",
		},
		{
			name: "kube-ovn", layout: "four spaces", files: one("01-kube-ovn.conflist", conf("0.3.1", "kube-ovn",
				`{"type": "kube-ovn", "server_socket": "/run/openvswitch/kube-ovn-daemon.sock"}`, `{"type": "portmap", "capabilities": {"portMappings": true}}`)),
			calls: "kube-ovn: kube-ovn bpffs portmap", behind: "kube-ovn portmap bpffs",
		},
		{
			name: "antrea", layout: "four spaces", files: one("10-antrea.conflist", conf("0.3.0", "antrea", `{"type": "antrea", "ipam": {"type": "host-local"}}`, portmap, bandwidth)),
			calls: "antrea: antrea bpffs portmap bandwidth", behind: "antrea portmap bandwidth bpffs",
		},
		{
			name: "Calico", layout: "two spaces", files: one("10-calico.conflist", conf("0.3.1", "k8s-pod-network", calico, portmap, bandwidth)),
			calls: "k8s-pod-network: calico bpffs portmap bandwidth", behind: "calico portmap bandwidth bpffs",
		},
		{
			name: "Cilium", layout: "two spaces", files: one("05-cilium.conflist", conf("0.3.1", "cilium",
				`{"type": "cilium-cni", "enable-debug": false, "log-file": "/var/run/cilium/cilium-cni.log"}`)),
			calls: "cilium: cilium-cni bpffs", behind: "cilium-cni bpffs",
		},
		{
			name: "Cilium, chained to Amazon VPC", layout: "two spaces", files: one("05-cilium.conflist", conf("0.3.1", "aws-cni", awsCNI, portmap, `{"type": "cilium-cni", "chaining-mode": "aws-cni", "enable-debug": false, "log-file": ""}`)),
			calls: "aws-cni: aws-cni bpffs portmap cilium-cni", behind: "aws-cni portmap cilium-cni bpffs",
		},
		{
			name: "Windows ends of lines", layout: "CRLF", files: one("10-azure.conflist", conf("0.3.1", "azure", `{"type": "azure-vnet", "mode": "bridge", "bridge": "azure0"}`, portmap)),
			calls: "azure: azure-vnet bpffs portmap", behind: "azure-vnet portmap bpffs",
		},
	}
}

// meshes are lists into which a service mesh puts its plugin.
func meshes() []field {
	istio := `{"type": "istio-cni", "plugin_log_level": "info", "kubernetes": {"kubeconfig": "/etc/cni/net.d/ZZZ-istio-cni-kubeconfig", "exclude_namespaces": ["istio-system"]}, "ambient_enabled": false}`
	linkerd := `{"type": "linkerd-cni", "name": "linkerd-cni", "log_level": "info", "policy": {"type": "k8s"}, "kubernetes": {"kubeconfig": "/etc/cni/net.d/ZZZ-linkerd-cni-kubeconfig"}, "linkerd": {"incoming-proxy-port": 4143, "outgoing-proxy-port": 4140, "proxy-uid": 2102, "ports-to-redirect": []}}`
	return []field{
		{
			name: "istio behind Calico", layout: "two spaces, no end of line", files: one("10-calico.conflist", conf("0.3.1", "k8s-pod-network", calico, portmap, bandwidth, istio)),
			calls: "k8s-pod-network: calico bpffs portmap bandwidth istio-cni", behind: "calico portmap bandwidth istio-cni bpffs",
		},
		{
			name: "linkerd behind ptp", layout: "two spaces, no end of line", files: one("10-kindnet.conflist", conf("0.3.1", "kindnet", `{"type": "ptp", `+hostLocal+`}`, portmap, linkerd)),
			calls: "kindnet: ptp bpffs portmap linkerd-cni", behind: "ptp portmap linkerd-cni bpffs",
		},
		{
			name: "linkerd before any other", layout: "two spaces", files: one("10-linkerd.conflist", conf("0.3.1", "linkerd", linkerd)), args: "--wait=false",
			says: []string{"no main plugin"},
		},
	}
}

// flannels are those of different ages.
func flannels() []field {
	return []field{
		{
			name: "flannel", layout: "two spaces", files: one("10-flannel.conflist", conf("0.3.1", "cbr0", flannel, portmap)),
			calls: "cbr0: flannel bpffs portmap", behind: "flannel portmap bpffs",
		},
		{
			name: "flannel of k3s", layout: "one line", files: one("10-flannel.conflist", conf("1.0.0", "cbr0",
				`{"type": "flannel", "delegate": {"hairpinMode": true, "forceAddress": true, "isDefaultGateway": true}}`, portmap, bandwidth)),
			calls: "cbr0: flannel bpffs portmap bandwidth", behind: "flannel portmap bandwidth bpffs",
		},
		{
			name: "flannel 0.11", layout: "two spaces", files: one("10-flannel.conflist", conf("0.2.0", "cbr0", flannel, portmap)),
			says: []string{"10-flannel.conflist", "0.2.0", "--cni-version"},
		},
		{
			name: "flannel 0.10", layout: "two spaces", files: one("10-flannel.conflist", conf("", "cbr0", flannel, portmap)),
			says: []string{"10-flannel.conflist", "cniVersion", "--cni-version"},
		},
		{
			name: "flannel 0.11, its version set", layout: "two spaces", files: one("10-flannel.conflist", conf("0.2.0", "cbr0", flannel, portmap)), args: "--cni-version 0.3.1",
			calls: "cbr0: flannel bpffs portmap", behind: "flannel portmap bpffs",
		},
	}
}

// several are nodes with more than one network, or with one that makes no interface.
func several() []field {
	bridge := func(name string) string {
		return `{"type": "bridge", "bridge": "` + name + `", "isGateway": true, "ipMasq": true, "hairpinMode": true, ` + hostLocal + `}`
	}
	behindMultus := map[string]string{"00-multus.conf": multus, "10-flannel.conflist": conf("0.3.1", "cbr0", flannel, portmap)}
	return []field{
		{
			name: "nerdctl", layout: "two spaces, no end of line", files: one("nerdctl-bridge.conflist", strings.Replace(conf("1.0.0", "bridge", bridge("nerdctl0"), portmap,
				`{"type": "firewall", "ingressPolicy": "same-bridge"}`, `{"type": "tuning"}`), `"plugins"`, `"nerdctlID": "17f29b073143d8cd97b5bbe492bdeffec1c5fee55cc1fe2112c8b9335f8b6121", "nerdctlLabels": {"nerdctl/default-network": "true"}, "plugins"`, 1)),
			calls: "bridge: bridge bpffs portmap firewall tuning", behind: "bridge portmap firewall tuning bpffs",
		},
		{
			name: "CRI-O", layout: "two spaces", files: map[string]string{
				"100-crio-bridge.conflist": conf("1.0.0", "crio", bridge("cni0")),
				"200-loopback.conflist":    conf("1.0.0", "loopback", `{"type": "loopback"}`),
			},
			calls: "crio: bridge bpffs", behind: "bridge bpffs",
		},
		{
			name: "loopback before the bridge", layout: "two spaces", files: map[string]string{
				"10-net.conflist":  conf("1.0.0", "net", `{"type": "loopback"}`, bridge("cni0"), portmap),
				"99-loopback.conf": `{"cniVersion": "0.3.1", "name": "lo", "type": "loopback"}`,
			},
			calls: "net: loopback bridge bpffs portmap", behind: "loopback bridge portmap bpffs",
		},
		{
			name: "podman", layout: "two spaces", files: one("87-podman-bridge.conflist", conf("0.4.0", "podman", bridge("cni-podman0"), portmap, `{"type": "firewall"}`, `{"type": "tuning"}`)),
			calls: "podman: bridge bpffs portmap firewall tuning", behind: "bridge portmap firewall tuning bpffs",
		},
		{
			name: "Multus, thick", layout: "one line", files: behindMultus,
			says: []string{"00-multus.conf", "single plugin", "--network"},
		},
		{
			name: "Multus, thick, the network behind it", layout: "two spaces", files: behindMultus, args: "--network cbr0",
			calls: "cbr0: flannel bpffs portmap", behind: "flannel portmap bpffs",
		},
		{
			name: "Multus, thin", layout: "tabs", files: one("00-multus.conf", multusOld),
			says: []string{"00-multus.conf", "single plugin"},
		},
		{
			name: "Multus in a list", layout: "two spaces", files: one("00-multus.conflist", conf("1.0.0", "multus-cni-network",
				`{"type": "multus-shim", "logToStderr": true, "clusterNetwork": "/host/etc/cni/net.d/10-flannel.conflist"}`)),
			calls: "multus-cni-network: multus-shim bpffs", behind: "multus-shim bpffs",
		},
	}
}

// single are files of one plugin, to which none can be added.
func single() (all []field) {
	plugins := map[string]string{
		"10-flannel.conf":           `{"name": "cbr0", "type": "flannel", "delegate": {"isDefaultGateway": true}}`,
		"100-crio-bridge.conf":      `{"cniVersion": "0.3.1", "name": "crio", "type": "bridge", "bridge": "cni0", ` + hostLocal + `}`,
		"10-ovn-kubernetes.conf":    `{"cniVersion": "0.4.0", "name": "ovn-kubernetes", "type": "ovn-k8s-cni-overlay", "ipam": {}, "dns": {}, "logFile": "/var/log/ovn-kubernetes/ovn-k8s-cni-overlay.log"}`,
		"80-openshift-network.conf": `{"cniVersion": "0.3.1", "name": "openshift-sdn", "type": "openshift-sdn"}`,
	}
	for _, name := range slices.Sorted(maps.Keys(plugins)) {
		all = append(all, field{name: name, layout: "four spaces", files: one(name, plugins[name]), says: []string{name, "single plugin"}})
	}
	return all
}

// layouts are ways to write JSON.
func layouts() map[string]func(content string) string {
	indent := func(step string) func(string) string {
		return func(content string) string {
			var b bytes.Buffer
			_ = json.Indent(&b, []byte(content), "", step) // what is not JSON is seen in the test
			return b.String() + "\n"
		}
	}
	return map[string]func(string) string{
		"one line":     func(content string) string { return content },
		"two spaces":   indent("  "),
		"three spaces": indent("   "),
		"four spaces":  indent("    "),
		"tabs":         indent("\t"),
		"two spaces, no end of line": func(content string) string {
			return strings.TrimSpace(indent("  ")(content))
		},
		"CRLF": func(content string) string { return strings.ReplaceAll(indent("  ")(content), "\n", "\r\n") },
	}
}

// node returns a node with the files in the layout.
func (f field) node(t *testing.T, layout string) *node {
	t.Helper()
	files := make(map[string]string)
	for name, content := range f.files {
		if !json.Valid([]byte(content)) {
			t.Fatalf("%s is not JSON: %s", name, content)
		}
		files[name] = layouts()[layout](content)
	}
	return newNode(t, files)
}

// What is found on nodes is installed, checked and uninstalled to the byte, in its usual
// layout and in another one; or refused with nothing touched.
func TestField(t *testing.T) {
	all := slices.Sorted(maps.Keys(layouts()))
	for i, f := range fields() {
		for _, layout := range slices.Compact([]string{f.layout, all[i%len(all)]}) {
			t.Run(f.name+"/"+layout, func(t *testing.T) {
				t.Parallel()
				f.play(t, layout)
			})
		}
	}
}

func (f field) play(t *testing.T, layout string) {
	t.Helper()
	n := f.node(t, layout)
	before := n.tree()
	if f.says != nil {
		n.fail(2, f.says, "install", strings.Fields(f.args)...)
	} else {
		f.installed(n, layout == f.layout)
	}
	after := n.tree()
	for name := range f.files {
		if strings.Contains(f.args, "--cni-version") { // which stays
			delete(before, "net.d/"+name)
			delete(after, "net.d/"+name)
		}
	}
	if strings.Contains(f.args, "--wait") { // for what comes the binary is there
		delete(after, "bin/bpffs")
	}
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("(-before +after):\n%s", diff)
	}
}

// installed wants bpffs behind the plugin that makes the interface. In the usual layout
// it wants it as a drop-in file last of all, too, and doctor to find nothing wrong.
func (f field) installed(n *node, check bool) {
	n.Helper()
	network, inserted, _ := strings.Cut(f.calls, ": ")
	modes := map[string]string{"conflist": inserted}
	if check {
		modes["drop-in"] = f.behind
	}
	for mode, calls := range modes {
		n.succeed("install", append(strings.Fields(f.args), "--mode", mode)...)
		n.calls(network, calls)
		if check {
			n.healthy()
		}
		n.succeed("uninstall", "--force")
	}
}

// healthy wants doctor to be content with the networks and the chain.
func (n *node) healthy() {
	n.Helper()
	says, _ := n.run("doctor", "--root", testns.BPFFS(n), "--cri-socket", n.dir+"/none", "--output", "json")
	var report struct {
		Findings []struct{ Check, Status, Detail string }
	}
	testns.Must(n, json.Unmarshal([]byte(says), &report))
	for _, check := range []string{"networks", "chain", "cni-version", "plugin-configuration"} {
		seen := false
		for _, f := range report.Findings {
			if f.Check != check {
				continue
			}
			seen = true
			if f.Status != "ok" {
				n.Errorf("doctor, %s: got %s, %s, want ok", check, f.Status, f.Detail)
			}
		}
		if !seen {
			n.Errorf("doctor, %s: got nothing, want ok, in %s", check, says)
		}
	}
}
