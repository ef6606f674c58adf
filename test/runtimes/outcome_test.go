package runtimes

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/containernetworking/cni/libcni"
	"github.com/vishvananda/netlink"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/test/internal/node"
)

// An outcome is what is seen of a chain, without what differs from run to run
// and without the entries of our plugin.
type outcome struct {
	Result           map[string]any
	Add, Check, Del  string   // errors
	Inside           []string // interfaces in the container, after ADD
	OutsideAfterDel  []string // interfaces on the node
	OutsideAfterAdd  []string
	PlacesLeftInIPAM int
}

// run sends ADD, CHECK and DEL through the chain, with a new container.
func (c chain) run(t *testing.T) (o outcome) {
	t.Helper()
	list, err := libcni.NetworkConfFromBytes([]byte(c.conflist()))
	if err != nil {
		t.Fatalf("%v: %v", c, err)
	}
	testns.Must(t, errors.Join(os.RemoveAll("/run/ipam"), os.RemoveAll(callLog)))
	if c.device.plugin == "host-device" {
		link(t, &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "extra"}, PeerName: "other"})
	}
	pod, err := node.NewPod("matrix")
	testns.Must(t, err)
	ifName := "eth0"
	if c.device.plugin == "loopback" {
		ifName = "lo" // whatever it is called with
	}
	cni := libcni.NewCNIConfig([]string{cniBin}, nil)
	rt := &libcni.RuntimeConf{
		ContainerID: "matrix", NetNS: pod.NetNS, IfName: ifName,
		CapabilityArgs: map[string]any{"portMappings": []map[string]any{{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}}},
	}
	result, err := cni.AddNetworkList(t.Context(), list, rt)
	o.Add, o.OutsideAfterAdd = stable(err), interfaces(t)
	if err == nil {
		var out bytes.Buffer
		testns.Must(t, result.PrintTo(&out))
		o.Result = c.checkResult(t, out.Bytes())
		o.Check = stable(cni.CheckNetworkList(t.Context(), list, rt))
		testns.Must(t, pod.Do(func() error {
			o.Inside = interfaces(t)
			return nil
		}))
	}
	if o.Del = stable(cni.DelNetworkList(t.Context(), list, rt)); o.Del != "" {
		c.delOurs(t, rt) // libcni gives up at the first plugin that fails, which comes before ours
	}
	nothingLeft(t)
	o.OutsideAfterDel, o.PlacesLeftInIPAM = interfaces(t), addresses(t)
	testns.Must(t, errors.Join(pod.Crash(), node.DeleteLinks("uplink", "switch")))
	return o
}

// checkResult reports paths that are not in the result or did not reach the last
// plugin, and returns the rest of the result.
func (c chain) checkResult(t *testing.T, result []byte) map[string]any {
	t.Helper()
	rest, paths := withoutPaths(t, result)
	want := 0
	if c.ours != "" {
		want = 2
	}
	calls := recorded(t)
	if len(calls) != 1 {
		t.Fatalf("%v: calls of the last plugin: got %+v, want one", c, calls)
	}
	last, err := calls[0].Paths()
	if err != nil || len(paths) != want || !slices.Equal(last, paths) {
		t.Errorf("%v: paths: got %q in the result and %q (%v) in the last plugin, want %d in both", c, paths, last, err, want)
	}
	text, err := json.Marshal(rest)
	testns.Must(t, err)
	rest = nil
	testns.Must(t, json.Unmarshal([]byte(unvary(string(text))), &rest))
	completeVersions(rest)
	return rest
}

// completeVersions fills in the IP version of addresses, which loopback leaves out
// and the CNI library knows.
func completeVersions(result map[string]any) {
	ips, _ := result["ips"].([]any)
	for _, each := range ips {
		ip, _ := each.(map[string]any)
		if ip["version"] != "" {
			continue
		}
		address, _ := ip["address"].(string)
		ip["version"] = map[bool]string{true: "6", false: "4"}[strings.Contains(address, ":")]
	}
}

// delOurs sends DEL to our plugin alone.
func (c chain) delOurs(t *testing.T, rt *libcni.RuntimeConf) {
	t.Helper()
	list, err := libcni.NetworkConfFromBytes(fmt.Appendf(nil,
		`{"cniVersion": %q, "name": "matrix", "plugins": [{"type": "bpffs"}]}`, c.version))
	if err == nil {
		err = libcni.NewCNIConfig([]string{cniBin}, nil).DelNetworkList(t.Context(), list, rt)
	}
	if err != nil {
		t.Errorf("%v: DEL of ours alone: got %v, want success", c, err)
	}
}

// stable returns what an error says, without what differs from run to run.
func stable(err error) string {
	if err == nil {
		return ""
	}
	return unvary(err.Error())
}

func unvary(text string) string {
	for _, r := range []struct{ pattern, with string }{
		{`([0-9a-f]{2}:){5}[0-9a-f]{2}`, "MAC"},
		{`\b(veth|tap|temp|dev)[0-9a-f]{6,}\b`, "$1"},
	} {
		text = regexp.MustCompile(r.pattern).ReplaceAllString(text, r.with)
	}
	return text
}

// interfaces returns the names of the interfaces in the network namespace.
func interfaces(t *testing.T) (names []string) {
	t.Helper()
	all, err := net.Interfaces()
	testns.Must(t, err)
	for _, i := range all {
		names = append(names, unvary(i.Name))
	}
	slices.Sort(names)
	return names
}

// addresses returns how many addresses host-local has given away.
func addresses(t *testing.T) int {
	t.Helper()
	files, err := filepath.Glob("/run/ipam/matrix/10.*")
	testns.Must(t, err)
	return len(files)
}
