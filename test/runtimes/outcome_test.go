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
	"runtime"
	"slices"
	"testing"

	"github.com/containernetworking/cni/libcni"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
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
	if err := errors.Join(os.RemoveAll("/run/ipam"), os.RemoveAll(callLog)); err != nil {
		t.Fatal(err)
	}
	if c.device.plugin == "host-device" {
		link(t, &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "extra"}, PeerName: "other"})
	}
	newNetNS(t, "matrix")
	ifName := "eth0"
	if c.device.plugin == "loopback" {
		ifName = "lo" // whatever it is called with
	}
	cni := libcni.NewCNIConfig([]string{cniBin}, nil)
	rt := &libcni.RuntimeConf{
		ContainerID: "matrix", NetNS: "/run/netns/matrix", IfName: ifName,
		CapabilityArgs: map[string]any{"portMappings": []map[string]any{{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}}},
	}
	result, err := cni.AddNetworkList(t.Context(), list, rt)
	o.Add, o.OutsideAfterAdd = stable(err), interfaces(t)
	if err == nil {
		var out bytes.Buffer
		if err := result.PrintTo(&out); err != nil {
			t.Fatal(err)
		}
		o.Result = c.checkResult(t, out.Bytes())
		o.Check = stable(cni.CheckNetworkList(t.Context(), list, rt))
		inNetNS(t, "matrix", func() { o.Inside = interfaces(t) })
	}
	if o.Del = stable(cni.DelNetworkList(t.Context(), list, rt)); o.Del != "" {
		c.delOurs(t, rt) // libcni gives up at the first plugin that fails, which comes before ours
	}
	nothingLeft(t)
	o.OutsideAfterDel, o.PlacesLeftInIPAM = interfaces(t), addresses(t)
	c.clear(t)
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
	if len(paths) != want || len(calls) != 1 || !slices.Equal(calls[0].Paths, paths) {
		t.Errorf("%v: the result has the paths %q, the last plugin got %+v, want %d paths in both", c, paths, calls, want)
	}
	text, err := json.Marshal(rest)
	if err != nil {
		t.Fatal(err)
	}
	rest = nil
	if err := json.Unmarshal([]byte(unvary(string(text))), &rest); err != nil {
		t.Fatal(err)
	}
	return rest
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
		t.Errorf("%v: DEL of ours alone: %v", c, err)
	}
}

// clear removes what the container and its plugins leave.
func (c chain) clear(t *testing.T) {
	t.Helper()
	if err := netns.DeleteNamed("matrix"); err != nil {
		t.Fatal(err)
	}
	for _, l := range links(t) {
		if slices.Contains([]string{"lo", "uplink", "switch"}, l.Attrs().Name) {
			continue
		}
		// The peer may be gone by now, with the namespace it was in.
		if err := netlink.LinkDel(l); err != nil && !errors.As(err, &netlink.LinkNotFoundError{}) && !errors.Is(err, unix.ENODEV) {
			t.Fatal(err)
		}
	}
}

// links returns the interfaces in the network namespace, from a look during which
// none came or went: the peers of those in a deleted namespace go when the kernel
// comes to it.
func links(t *testing.T) []netlink.Link {
	t.Helper()
	for {
		all, err := netlink.LinkList()
		if err == nil {
			return all
		}
		if !errors.Is(err, netlink.ErrDumpInterrupted) {
			t.Fatal(err)
		}
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
	if err != nil {
		t.Fatal(err)
	}
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
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}

// newNetNS makes a named network namespace.
func newNetNS(t *testing.T, name string) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	own, err := netns.Get()
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	pod, err := netns.NewNamed(name)
	if err == nil {
		err = errors.Join(pod.Close(), netns.Set(own))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// inNetNS calls f in the named network namespace.
func inNetNS(t *testing.T, name string, f func()) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	own, err := netns.Get()
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	pod, err := netns.GetFromName(name)
	if err == nil {
		err = errors.Join(netns.Set(pod), pod.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	f()
	if err := netns.Set(own); err != nil {
		t.Fatal(err)
	}
}
