package runtimes

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// The plugins around ours, in every version that the runtimes here come with:
// ADD, CHECK and DEL have the same outcome with our plugin in the chain as
// without it, and what comes last gets all paths.

func TestMatrixNew(t *testing.T) {
	if onNode(t) {
		matrix(t, "plugins v1.9.1", goPlugins, "0.3.1", "0.4.0", "1.0.0", "1.1.0")
	}
}

func TestMatrixDebian(t *testing.T) {
	if onNode(t) {
		matrix(t, "plugins 1.1.1", debPlugin, "0.3.1", "0.4.0", "1.0.0")
	}
}

func matrix(t *testing.T, subject, dir string, versions ...string) {
	t.Helper()
	linkPlugins(t, dir)
	link(t, &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "uplink"}, PeerName: "switch"})
	for _, device := range devices() {
		t.Run(device.plugin, func(t *testing.T) {
			feature := fmt.Sprintf("%s, cniVersion %s to %s", device.plugin, versions[0], versions[len(versions)-1])
			if why := device.missing(); why != "" {
				note(t, subject, feature, "not run: "+why)
				t.Skip(why)
			}
			n := &tally{versions: len(versions), badAdds: map[string][]string{}, badChecks: map[string][]string{}}
			t.Cleanup(func() { note(t, subject, feature, n.state(t.Failed())) })
			for _, version := range versions {
				for _, extra := range append([]string{""}, extras()...) {
					compare(t, chain{device: device, extra: extra, version: version}, n)
				}
			}
		})
	}
}

// A tally says what came out of the chains with our plugin.
type tally struct {
	versions  int
	chains    int
	badAdds   map[string][]string // cniVersions in which the chains with this plugin fail, ours or not
	badChecks map[string][]string
}

func (c *tally) state(failed bool) string {
	if failed {
		return "FAILS"
	}
	state := fmt.Sprintf("works: in %d chains as without ours", c.chains)
	return state + either("ADD", c.badAdds, c.versions) + either("CHECK", c.badChecks, c.versions-1)
}

// either says where a verb, which all these versions have, fails with and without
// our plugin.
func either(verb string, bad map[string][]string, versions int) string {
	var with []string
	for _, extra := range slices.Sorted(maps.Keys(bad)) {
		if len(bad[extra]) < versions {
			extra += " (" + strings.Join(bad[extra], ", ") + ")"
		}
		with = append(with, extra)
	}
	if len(with) == 0 {
		return ""
	}
	return fmt.Sprintf("; %s fails either way with %s", verb, strings.Join(with, ", "))
}

// count notes a chain without our plugin.
func (c *tally) count(extra, version string, o outcome) {
	switch {
	case o.Add != "":
		c.badAdds[extra] = append(c.badAdds[extra], version)
	case o.Check != "" && version != "0.3.1": // which has no CHECK
		c.badChecks[extra] = append(c.badChecks[extra], version)
	}
}

// compare runs a chain without our plugin and with it at each place it can have.
func compare(t *testing.T, c chain, n *tally) {
	t.Helper()
	want := c.run(t)
	t.Logf("%v: ADD %q, CHECK %q, DEL %q", c, want.Add, want.Check, want.Del)
	n.count(c.extra, c.version, want)
	places := []string{"before"}
	if c.extra != "" {
		places = append(places, "after")
	}
	for _, place := range places {
		c.ours = place
		got := c.run(t)
		n.chains++
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%v: not as without ours (-without +with):\n%s", c, diff)
		}
	}
}

// device is a plugin that makes an interface.
type device struct {
	plugin string
	conf   string       // its keys
	needs  netlink.Link // a device that it makes
}

func devices() []device {
	up, err := netlink.LinkByName("uplink")
	parent := netlink.LinkAttrs{Name: "try"}
	if err == nil {
		parent.ParentIndex = up.Attrs().Index
	}
	return []device{
		{"bridge", `"bridge": "br0", "isGateway": true`, nil},
		{"ptp", ``, nil},
		{"macvlan", `"master": "uplink"`, &netlink.Macvlan{LinkAttrs: parent}},
		{"ipvlan", `"master": "uplink"`, &netlink.IPVlan{LinkAttrs: parent}},
		{"vlan", `"master": "uplink", "vlanId": 5`, &netlink.Vlan{LinkAttrs: parent, VlanId: 6}},
		{"host-device", `"device": "extra"`, nil},
		{"tap", ``, nil},
		{"loopback", ``, nil},
	}
}

// extras are the plugins that come after a device in the chains.
func extras() []string {
	return []string{"tuning", "portmap", "firewall", "bandwidth", "sbr"}
}

// missing says what keeps the device from being made, or nothing.
func (d device) missing() string {
	if _, err := os.Stat(filepath.Join(cniBin, d.plugin)); err != nil {
		return "there is no plugin " + d.plugin + " in this version"
	}
	if d.needs == nil {
		return ""
	}
	err := netlink.LinkAdd(d.needs)
	if errors.Is(err, unix.EOPNOTSUPP) {
		return "this kernel has no " + d.needs.Type() + " devices"
	}
	if err == nil {
		err = netlink.LinkDel(d.needs)
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

// link makes an interface on the node and sets it up.
func link(t *testing.T, l netlink.Link) {
	t.Helper()
	err := netlink.LinkAdd(l)
	if err == nil {
		err = netlink.LinkSetUp(l)
	}
	if err != nil {
		t.Fatalf("making the interface %s: %v", l.Attrs().Name, err)
	}
}

// A chain is a network of a device, perhaps one more plugin, perhaps ours before
// or after that, and record.
type chain struct {
	device  device
	extra   string
	version string
	ours    string // "before" or "after" the extra plugin
}

func (c chain) String() string {
	return fmt.Sprintf("%s, %q, ours %q, cniVersion %s", c.device.plugin, c.extra, c.ours, c.version)
}

// conflist returns the configuration of the network.
func (c chain) conflist() string {
	ipam := `"ipam": {"type": "host-local", "dataDir": "/run/ipam", "subnet": "10.244.80.0/24"}`
	keys := []string{fmt.Sprintf(`"type": %q`, c.device.plugin)}
	if c.device.conf != "" {
		keys = append(keys, c.device.conf)
	}
	if c.device.plugin != "loopback" {
		keys = append(keys, ipam)
	}
	plugins := []string{"{" + strings.Join(keys, ", ") + "}"}
	if c.ours == "before" {
		plugins = append(plugins, oursInMatrix)
	}
	if c.extra != "" {
		plugins = append(plugins, extraConf()[c.extra])
	}
	if c.ours == "after" {
		plugins = append(plugins, oursInMatrix)
	}
	plugins = append(plugins, fmt.Sprintf(`{"type": "record", "log": %q, "failAdd": %q}`, callLog, failFile))
	return fmt.Sprintf(`{"cniVersion": %q, "name": "matrix", "plugins": [%s]}`, c.version, strings.Join(plugins, ",\n"))
}

const oursInMatrix = `{"type": "bpffs", "maps": [
	{"name": "policy_"},
	{"name": "stats_", "type": "percpu_array", "keySize": 4, "valueSize": 16, "maxEntries": 2}]}`

func extraConf() map[string]string {
	return map[string]string{
		"tuning":    `{"type": "tuning", "sysctl": {"net.core.somaxconn": "500"}}`,
		"portmap":   `{"type": "portmap", "capabilities": {"portMappings": true}}`,
		"firewall":  `{"type": "firewall", "backend": "iptables"}`,
		"bandwidth": `{"type": "bandwidth", "ingressRate": 1000000, "ingressBurst": 1000000, "egressRate": 1000000, "egressBurst": 1000000}`,
		"sbr":       `{"type": "sbr"}`,
	}
}

// withoutPaths returns a CNI result without the entries of our plugin, and those.
func withoutPaths(t *testing.T, result []byte) (rest map[string]any, paths []string) {
	t.Helper()
	testns.Must(t, json.Unmarshal(result, &rest))
	var kept []any
	all, _ := rest["interfaces"].([]any)
	for _, e := range all {
		entry, _ := e.(map[string]any)
		name, _ := entry["name"].(string)
		if strings.HasPrefix(name, "/") {
			paths = append(paths, name)
			continue
		}
		kept = append(kept, e)
	}
	rest["interfaces"] = kept
	return rest, paths
}
