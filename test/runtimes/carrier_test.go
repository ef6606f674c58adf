package runtimes

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"testing"

	gocni "github.com/containerd/go-cni"
	"github.com/containernetworking/cni/libcni"
	"github.com/containernetworking/cni/pkg/types"
	types100 "github.com/containernetworking/cni/pkg/types/100"
	"github.com/google/go-cmp/cmp"
	nadv1 "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"
	nad "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/utils"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
	"github.com/cni-bpffs/cni-bpffs/test/internal/node"
)

const (
	answerFile = "/run/node/answer"
	mainLog    = "/run/node/main"
)

// mainPlugin makes an interface in the pod, and answers what is in a file. It notes
// each call.
const mainPlugin = `#!/bin/sh
PATH=/usr/sbin:/usr/bin:/sbin:/bin
printf '{"Verb": "%s", "Conf": %s}\n' "$CNI_COMMAND" "$(cat)" >>` + mainLog + `
case $CNI_COMMAND in
ADD) nsenter --net="$CNI_NETNS" ip link add "$CNI_IFNAME" type veth peer name other && cat ` + answerFile + ` ;;
DEL) nsenter --net="$CNI_NETNS" ip link del "$CNI_IFNAME" 2>/dev/null || : ;;
esac
`

// An answer is what a main plugin says of an attachment; SANDBOX stands for the path
// of the network namespace.
type answer struct {
	name, body string
	moves      bool // the addresses become those of another interface
}

func answers() []answer {
	const ip = `"ips":[{"address":"10.244.79.9/24","gateway":"10.244.79.1"%s}],"routes":[{"dst":"0.0.0.0/0","gw":"10.244.79.1"}],"dns":{"nameservers":["10.0.0.1"]}`
	none, first, second := fmt.Sprintf(ip, ""), fmt.Sprintf(ip, `,"interface":0`), fmt.Sprintf(ip, `,"interface":1`)
	return []answer{
		{name: "Calico", body: `"interfaces":[{"name":"cali12345678901"}],` + none},
		{name: "Calico with two addresses", body: `"interfaces":[{"name":"cali12345678901"}],"ips":[{"address":"10.0.0.2/32"},{"address":"fd00::2/128"}]`},
		{name: "Azure", body: `"interfaces":[{"name":"eth0","mac":"00:0d:3a:00:00:01"}],` + first},
		{name: "Azure without a MAC", body: `"interfaces":[{"name":"eth0"}],` + first},
		{name: "addresses of the host's end", body: `"interfaces":[{"name":"veth1"}],` + first, moves: true},
		{name: "no addresses", body: `"interfaces":[{"name":"veth1"}]`},
		{name: "Cilium", body: `"interfaces":[{"name":"lxc1234","mac":"3a:00:00:00:00:01"},{"name":"eth0","mac":"3a:00:00:00:00:02","sandbox":"SANDBOX"}],` + second},
		{name: "bridge", body: `"interfaces":[{"name":"br0","mac":"3a:00:00:00:00:01"},{"name":"veth1","mac":"3a:00:00:00:00:02"},` +
			`{"name":"eth0","mac":"3a:00:00:00:00:03","sandbox":"SANDBOX"}],` + fmt.Sprintf(ip, `,"interface":2`)},
		{name: "one interface in the pod", body: `"interfaces":[{"name":"eth0","mac":"3a:00:00:00:00:03","sandbox":"SANDBOX"}],` + first},
		{name: "one interface in the pod, addresses of none", body: `"interfaces":[{"name":"eth0","mac":"3a:00:00:00:00:03","sandbox":"SANDBOX"}],` + none},
		{name: "two interfaces in the pod", body: `"interfaces":[{"name":"eth0","mac":"3a:00:00:00:00:03","sandbox":"SANDBOX"},` +
			`{"name":"eth1","mac":"3a:00:00:00:00:04","sandbox":"SANDBOX"}],"ips":[{"address":"10.0.0.2/8","interface":0},{"address":"10.0.0.3/8","interface":1}]`},
		{name: "two interfaces on the host", body: `"interfaces":[{"name":"veth1"},{"name":"veth2"}],` + none},
		{name: "addresses only", body: none},
		{name: "nothing", body: ``},
	}
}

// in returns the answer in a version of the specification.
func (a answer) in(version, sandbox string) string {
	body := strings.ReplaceAll(a.body, "SANDBOX", sandbox)
	if strings.HasPrefix(version, "0.") {
		body = strings.NewReplacer(`"address":"10.`, `"version":"4","address":"10.`, `"address":"fd`, `"version":"6","address":"fd`).Replace(body)
	}
	return strings.TrimSuffix(fmt.Sprintf(`{"cniVersion":%q,%s`, version, body), ",") + "}"
}

// A view is what the consumers of a result learn of a pod.
type view struct {
	cached *types100.Result
	multus []*nadv1.NetworkStatus
	gocni  *gocni.Result
}

// look attaches a pod whose main plugin gives the answer, with maps of ours if there
// are any, and lets each consumer look.
func (a answer) look(t *testing.T, version, maps string) (v view) {
	t.Helper()
	chain := fmt.Sprintf(`{"cniVersion":%q,"name":"carrier","plugins":[{"type":"main"}`, version)
	if maps != "" {
		chain += `,{"type":"bpffs","maps":` + maps + `}`
	}
	list, err := libcni.NetworkConfFromBytes([]byte(chain + "]}"))
	testns.Must(t, err)
	pod, err := node.NewPod("carrier")
	testns.Must(t, err)
	write(t, answerFile, a.in(version, pod.NetNS))

	cni := libcni.NewCNIConfig([]string{cniBin}, nil)
	rt := &libcni.RuntimeConf{ContainerID: "carrier", NetNS: pod.NetNS, IfName: "eth0"}
	result, err := cni.AddNetworkList(t.Context(), list, rt)
	testns.Must(t, err)
	cached, err := cni.GetNetworkListCachedResult(list, rt)
	testns.Must(t, err)
	v.cached, err = types100.NewResultFromResult(cached)
	testns.Must(t, err)
	v.multus, err = nad.CreateNetworkStatuses(result, "carrier", true, nil)
	testns.Must(t, err)
	testns.Must(t, cni.DelNetworkList(t.Context(), list, rt))

	containerd, err := gocni.New(gocni.WithPluginDir([]string{cniBin}), gocni.WithInterfacePrefix("eth"), gocni.WithConfListBytes([]byte(chain+"]}")))
	testns.Must(t, err)
	v.gocni, err = containerd.Setup(t.Context(), "carrier", pod.NetNS)
	testns.Must(t, err)
	testns.Must(t, containerd.Remove(t.Context(), "carrier", pod.NetNS))
	testns.Must(t, pod.Crash())
	return v
}

// wantAll wants every value, but the empty one, to be as without us.
func wantAll[T comparable](t *testing.T, what string, without, with T) {
	t.Helper()
	var zero T
	if without != zero && with != without {
		t.Errorf("%s: got %v, want %v as without bpffs", what, with, without)
	}
}

func wantStatuses(t *testing.T, without, with []*nadv1.NetworkStatus) {
	t.Helper()
	if len(with) < len(without) {
		t.Fatalf("network-status: got %+v, want all of %+v", deref(with), deref(without))
	}
	for i, w := range without {
		got := with[i]
		wantAll(t, "name in network-status", w.Name, got.Name)
		wantAll(t, "default in network-status", w.Default, got.Default)
		wantAll(t, "interface in network-status", w.Interface, got.Interface)
		wantAll(t, "MAC in network-status", w.Mac, got.Mac)
		wantAll(t, "gateway in network-status", fmt.Sprint(w.Gateway), fmt.Sprint(got.Gateway))
		wantAll(t, "DNS in network-status", fmt.Sprint(w.DNS), fmt.Sprint(got.DNS))
		for _, ip := range w.IPs {
			if !slices.Contains(got.IPs, ip) {
				t.Errorf("addresses in network-status: got %q, want %q as without bpffs", got.IPs, w.IPs)
			}
		}
	}
}

func deref(all []*nadv1.NetworkStatus) (values []nadv1.NetworkStatus) {
	for _, s := range all {
		values = append(values, *s)
	}
	return values
}

func wantContainerd(t *testing.T, moves bool, without, with *gocni.Result) {
	t.Helper()
	for name, w := range without.Interfaces {
		got := with.Interfaces[name]
		if got == nil {
			t.Errorf("interface %s in containerd: got none, want it as without bpffs", name)
			continue
		}
		wantAll(t, "MAC in containerd", w.Mac, got.Mac)
		wantAll(t, "sandbox in containerd", w.Sandbox, got.Sandbox)
		if moves {
			got = with.Interfaces["eth0"]
		}
		if len(got.IPConfigs) < len(w.IPConfigs) {
			t.Errorf("addresses of %s in containerd: got %v, want %v as without bpffs", name, got.IPConfigs, w.IPConfigs)
		}
	}
	wantAll(t, "DNS in containerd", fmt.Sprint(without.DNS), fmt.Sprint(with.DNS))
	wantAll(t, "routes in containerd", len(without.Routes), len(with.Routes))
}

// wantCached wants all to be in the result that libcni keeps, the interfaces in their
// order, and each address with an interface that is no path.
func wantCached(t *testing.T, without, with *types100.Result, paths int) {
	t.Helper()
	for i, w := range without.Interfaces {
		wantAll(t, "name in the cache", w.Name, with.Interfaces[i].Name)
		wantAll(t, "MAC in the cache", w.Mac, with.Interfaces[i].Mac)
		wantAll(t, "sandbox in the cache", w.Sandbox, with.Interfaces[i].Sandbox)
	}
	for i, w := range without.IPs {
		got := with.IPs[i]
		wantAll(t, "address in the cache", w.Address.String(), got.Address.String())
		if (w.Interface == nil) != (got.Interface == nil) || got.Interface != nil && strings.HasPrefix(with.Interfaces[*got.Interface].Name, "/") {
			t.Errorf("interface of %v in the cache: got that of %v, want it as in %v", got.Address, got, w)
		}
	}
	if diff := cmp.Diff(without.Routes, with.Routes); diff != "" {
		t.Errorf("routes in the cache (-without bpffs +with):\n%s", diff)
	}
	if got := len(bpffs.LocalMaps(with)); got != paths {
		t.Errorf("paths in the cache: got %d, want %d", got, paths)
	}
	// podman refuses an entry with a sandbox and without a MAC (libnetwork/cni,
	// CNIResultToStatus).
	for i, got := range with.Interfaces {
		if _, err := net.ParseMAC(got.Mac); got.Sandbox != "" && err != nil && (i >= len(without.Interfaces) || without.Interfaces[i].Sandbox == "") {
			t.Errorf("the MAC of %s: %v, want one that podman reads", got.Name, err)
		}
	}
}

// TestCarrierTakesNothing: no consumer of the result learns less about the pod than
// without bpffs.
func TestCarrierTakesNothing(t *testing.T) {
	if !onNode(t) {
		return
	}
	testns.Must(t, os.WriteFile(cniBin+"/main", []byte(mainPlugin), 0o700))
	all := []string{"[]", `[{"name":"a_"}]`, `[{"name":"a_"},{"name":"b_"}]`}
	for _, a := range answers() {
		for _, version := range []string{"0.3.1", "1.0.0"} {
			t.Run(a.name+" in "+version, func(t *testing.T) {
				without := a.look(t, version, "")
				for paths, maps := range all {
					with := a.look(t, version, maps)
					wantStatuses(t, without.multus, with.multus)
					wantContainerd(t, a.moves && paths > 0, without.gocni, with.gocni)
					wantCached(t, without.cached, with.cached, paths)
					if diff := cmp.Diff(without.cached, with.cached); paths == 0 && diff != "" {
						t.Errorf("result without maps (-without bpffs +with):\n%s", diff)
					}
				}
			})
		}
	}
}

// TestCarrierTakesNoAddress: an address whose interface is not there would become
// that of a path.
func TestCarrierTakesNoAddress(t *testing.T) {
	if !onNode(t) {
		return
	}
	testns.Must(t, os.WriteFile(cniBin+"/main", []byte(mainPlugin), 0o700))
	for _, body := range []string{
		`"ips":[{"address":"10.0.0.2/8","interface":0}]`,
		`"interfaces":[],"ips":[{"address":"10.0.0.2/8","interface":1}]`,
		`"interfaces":[{"name":"eth0","sandbox":"/x"}],"ips":[{"address":"10.0.0.2/8","interface":1}]`,
		`"interfaces":[{"name":"eth0","sandbox":"/x"}],"ips":[{"address":"10.0.0.2/8"},{"address":"10.0.0.3/8","interface":2}]`,
		`"interfaces":[{"name":"cali1"}],"ips":[{"address":"10.0.0.2/8","interface":1}]`,
		`"interfaces":[{"name":"eth0","sandbox":"/x"}],"ips":[{"address":"10.0.0.2/8","interface":-1}]`,
	} {
		for _, version := range []string{"0.4.0", "1.0.0", "1.1.0"} {
			list, err := libcni.NetworkConfFromBytes(fmt.Appendf(nil, `{"cniVersion":%q,"name":"carrier","plugins":[{"type":"main"},
				{"type":"bpffs","maps":[{"name":"a_"},{"name":"b_"},{"name":"c_"}]}]}`, version))
			testns.Must(t, err)
			pod, err := node.NewPod("carrier")
			testns.Must(t, err)
			write(t, answerFile, answer{body: body}.in(version, pod.NetNS))
			cni := libcni.NewCNIConfig([]string{cniBin}, nil)
			rt := &libcni.RuntimeConf{ContainerID: "carrier", NetNS: pod.NetNS, IfName: "eth0"}
			result, err := cni.AddNetworkList(t.Context(), list, rt)
			if e, ok := errors.AsType[*types.Error](err); !ok || e.Code != types.ErrInvalidNetworkConfig || !strings.Contains(e.Msg, "ips[") {
				t.Errorf("ADD after %s in %s: got %v, %v, want error 7 about the address", body, version, result, err)
			}
			testns.Must(t, cni.DelNetworkList(t.Context(), list, rt))
			testns.Must(t, pod.Crash())
			nothingLeft(t)
		}
	}
}
