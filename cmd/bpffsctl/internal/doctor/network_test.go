package doctor

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cni-bpffs/cni-bpffs/internal/netconf"
	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

func (r *rig) plugin() string { return filepath.Join(r.BinDir, "bpffs") }

// script puts a program of the shell in the place of the plugin.
func (r *rig) script(text string) {
	r.t.Helper()
	remove(r.t, r.plugin())
	if err := os.WriteFile(r.plugin(), []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
		r.t.Fatal(err)
	}
}

// old puts an older plugin there.
func (r *rig) old() {
	r.t.Helper()
	if err := build("../../../..", "./plugins/bpffs", r.plugin(), "v0.0.1"); err != nil {
		r.t.Fatal(err)
	}
}

func TestFaultsOfThePlugin(t *testing.T) {
	const replace = "mv BIN/bpffs BIN/bpffs.bad && bpffsctl install --bin-dir BIN --conf-dir NETS"
	for _, f := range []fault{
		{
			name: "missing", status: Failure, says: "missing", fix: "bpffsctl install --bin-dir BIN --conf-dir NETS",
			make: func(r *rig) { remove(r.t, r.plugin()) },
		},
		{
			name: "not executable", status: Failure, says: "mode -rw-r--r--", fix: "chmod 755 BIN/bpffs",
			make: func(r *rig) { chmod(r.t, r.plugin(), 0o644) },
		},
		{
			name: "others can write to it", status: Failure, says: "mode -rwxrwxrwx", fix: "chmod 755 BIN/bpffs",
			make: func(r *rig) { chmod(r.t, r.plugin(), 0o777) },
		},
		{
			name: "another user's", status: Warning, says: "belongs to user 65534", fix: "chown root: BIN/bpffs",
			make: func(r *rig) {
				if err := os.Chown(r.plugin(), 65534, -1); err != nil {
					r.t.Fatal(err)
				}
			},
		},
		{
			name: "set-user-ID", status: Failure, says: "mode urwxr-xr-x", fix: "chmod 755 BIN/bpffs",
			make: func(r *rig) { chmod(r.t, r.plugin(), 0o755|os.ModeSetuid) },
		},
		{
			name: "a directory", status: Failure, says: "not a regular file (d", fix: replace,
			make: func(r *rig) { remove(r.t, r.plugin()); mkdir(r.t, r.plugin()) },
		},
		{
			name: "half of it", status: Failure, says: "calling it", fix: replace,
			make: func(r *rig) {
				if err := os.Truncate(r.plugin(), 4096); err != nil {
					r.t.Fatal(err)
				}
			},
		},
		{
			name: "another program", status: Failure, says: "not the plugin bpffs", fix: replace,
			make: func(r *rig) { r.script("echo this is something else >&2") },
		},
		{
			name: "a program that does not end", status: Failure, says: "did not end in time", fix: replace,
			make: func(r *rig) { r.Patience = time.Second; r.script("sleep 60") },
		},
		{
			name: "another version", status: Warning, says: "it is version v0.0.1, and this is bpffsctl", fix: "bpffsctl install --bin-dir BIN --conf-dir NETS",
			make: func(r *rig) { r.old() },
		},
	} {
		f.check = "plugin"
		t.Run(f.name, f.test)
	}
}

func TestFaultsOfTheNetworks(t *testing.T) {
	const list = "10-net.conflist"
	for _, f := range []fault{
		{
			name: "no network", check: "networks", status: Failure, says: "there is no network", fix: "install the main plugin, then: bpffsctl install",
			make: func(r *rig) { remove(r.t, filepath.Join(r.ConfDir, list)) },
			repair: func(r *rig) {
				r.write(r.t, list, listOf("1.0.0", "net"))
				typed(r.t, "bpffsctl install --bin-dir "+r.BinDir+" --conf-dir "+r.ConfDir)
			},
		},
		{
			name: "the first file is no JSON", check: "networks", status: Failure, says: "cannot use this one", fix: "mv NETS/05-broken.conflist NETS/05-broken.conflist.bad",
			make: func(r *rig) { r.write(r.t, "05-broken.conflist", `{"name": "x"`) },
		},
		{
			name: "the first file is a pipe", check: "networks", status: Failure, says: "cannot use this one", fix: "mv NETS/05-pipe.conflist NETS/05-pipe.conflist.bad",
			make: func(r *rig) { typed(r.t, "mkfifo "+r.ConfDir+"/05-pipe.conflist") },
		},
		{
			name: "a later file is no JSON", check: "networks", status: Warning, says: "it is not used", fix: "mv NETS/20-broken.conf NETS/20-broken.conf.bad",
			make: func(r *rig) { r.write(r.t, "20-broken.conf", "") },
		},
		{
			name: "no network has bpffs", check: "networks", status: Failure, says: "pods run without", fix: "bpffsctl install --bin-dir BIN --conf-dir NETS",
			make: func(r *rig) { r.write(r.t, list, listOf("1.0.0", "net")) },
		},
		{
			name: "only a network that is not used has it", check: "networks", status: Failure,
			says: "the runtime uses this network, first, because it is the first of the directory; bpffs is only in NETS/10-net.conflist",
			fix:  "bpffsctl install --bin-dir BIN --conf-dir NETS", make: func(r *rig) { r.write(r.t, "05-first.conflist", listOf("1.0.0", "first")) },
		},
		{
			name: "first in the chain", check: "chain", status: Failure, says: "bpffs comes before the plugin that makes the interface of the network net", fix: "bpffsctl install --bin-dir BIN --conf-dir NETS",
			make: func(r *rig) { r.write(r.t, list, chain("1.0.0", "net", ours, bridge)) },
		},
		{
			name: "after loopback and before the bridge", check: "chain", status: Failure, says: "bpffs comes before the plugin that makes the interface", fix: "bpffsctl install --bin-dir BIN --conf-dir NETS",
			make: func(r *rig) { r.write(r.t, list, chain("1.0.0", "net", `{"type": "loopback"}`, ours, bridge)) },
		},
		{
			name: "before the bridge, in a later network", check: "chain", status: Failure, says: "bpffs comes before the plugin that makes the interface of the network later", fix: "bpffsctl install --bin-dir BIN --conf-dir NETS --network later",
			make: func(r *rig) { r.write(r.t, "20.conflist", chain("1.0.0", "later", `{"type": "tuning"}`, ours, bridge)) },
		},
		{
			name: "alone in the chain", check: "chain", status: Failure, says: "bpffs comes before the plugin that makes the interface", fix: "${EDITOR:-vi} NETS/10-net.conflist",
			make:   func(r *rig) { r.write(r.t, list, chain("1.0.0", "net", `{"type": "loopback"}`, ours)) },
			repair: func(r *rig) { r.write(r.t, list, listOf("1.0.0", "net", ours)) },
		},
		{
			name: "twice in the chain", check: "chain", status: Warning, says: "a second time", fix: "bpffsctl install --bin-dir BIN --conf-dir NETS",
			make: func(r *rig) { r.write(r.t, list, listOf("1.0.0", "net", ours, ours)) },
		},
		{
			name: "in the list and in a drop-in file", check: "chain", status: Warning, says: "a second time in the network net, after NETS/10-net.conflist", fix: "bpffsctl install --bin-dir BIN --conf-dir NETS",
			make: func(r *rig) { r.write(r.t, "net/bpffs.conf", ours) },
		},
		{
			name: "a cniVersion that the plugin does not support", check: "cni-version", status: Failure, says: `bpffs does not support cniVersion "0.2.0"`,
			fix:  "bpffsctl install --bin-dir BIN --conf-dir NETS --cni-version 1.0.0",
			make: func(r *rig) { r.write(r.t, list, listOf("0.2.0", "net", ours)) },
		},
		{
			name: "no cniVersion", check: "cni-version", status: Failure, says: `bpffs does not support cniVersion ""`, fix: "bpffsctl install --bin-dir BIN --conf-dir NETS --cni-version 1.0.0",
			make: func(r *rig) { r.write(r.t, list, `{"name": "net", "plugins": [`+bridge+`, `+ours+`]}`) },
		},
		{
			name: "a later network with no cniVersion", check: "cni-version", status: Failure, says: `bpffs does not support cniVersion ""`, fix: "bpffsctl install --bin-dir BIN --conf-dir NETS --network later --cni-version 1.0.0",
			make: func(r *rig) { r.write(r.t, "20.conflist", `{"name": "later", "plugins": [`+bridge+`, `+ours+`]}`) },
		},
		{
			name: "half a drop-in file", check: "networks", status: Failure, says: "no pod of the network net can start", fix: "mv NETS/net/bpffs.conf NETS/net/bpffs.conf.bad",
			make: func(r *rig) { r.write(r.t, "net/bpffs.conf", `{"type":"bpffs",`) },
		},
		{
			name: "half a drop-in file of another plugin", check: "networks", status: Failure, says: "no pod of the network net can start", fix: "mv NETS/net/50-x.conf NETS/net/50-x.conf.bad",
			make: func(r *rig) { r.write(r.t, "net/50-x.conf", `{"type":`) },
		},
		{
			name: "a drop-in file to nothing, in a later network", check: "networks", status: Failure, says: "no pod of the network later can start", fix: "mv NETS/later/bpffs.conf NETS/later/bpffs.conf.bad",
			make: func(r *rig) {
				r.write(r.t, "20.conflist", listOf("1.0.0", "later"))
				mkdir(r.t, filepath.Join(r.ConfDir, "later"))
				testns.Must(r.t, os.Symlink("none", filepath.Join(r.ConfDir, "later/bpffs.conf")))
			},
		},
		{
			name: "a drop-in file that is a pipe", check: "networks", status: Failure, says: "not a regular file", fix: "mv NETS/net/bpffs.conf NETS/net/bpffs.conf.bad",
			make: func(r *rig) {
				mkdir(r.t, filepath.Join(r.ConfDir, "net"))
				typed(r.t, "mkfifo "+r.ConfDir+"/net/bpffs.conf")
			},
		},
		{
			name: "the first network makes no interface", check: "networks", status: Failure, says: "none of its plugins makes an interface", fix: "mv NETS/05-lo.conflist NETS/05-lo.conflist.bad",
			make: func(r *rig) { r.write(r.t, "05-lo.conflist", chain("1.0.0", "lo", `{"type": "loopback"}`)) },
		},
		{
			name: "Multus calls a network without bpffs", check: "networks", status: Failure, says: "the runtime uses this network, multus", fix: "bpffsctl install --bin-dir BIN --conf-dir NETS --network net",
			make: func(r *rig) {
				r.write(r.t, "00-multus.conf", `{"cniVersion": "1.0.0", "name": "multus", "type": "multus", "clusterNetwork": "net"}`)
				r.write(r.t, list, listOf("1.0.0", "net"))
			},
		},
		{
			name: "a single plugin's file, as OpenShift has", check: "networks", status: Failure, says: "does not have bpffs: pods run without it", fix: "bpffsctl install --bin-dir BIN --conf-dir NETS --network vendor-cni-chain --mode drop-in",
			make: func(r *rig) {
				remove(r.t, filepath.Join(r.ConfDir, list))
				r.write(r.t, "10-ovn.conf", `{"cniVersion": "0.3.1", "name": "ovn", "type": "ovn-k8s-cni-overlay"}`)
			},
		},
		{
			name: "a drop-in file that the list forbids", check: "drop-ins", status: Failure, says: "loadOnlyInlinedPlugins", fix: "bpffsctl install --bin-dir BIN --conf-dir NETS --mode conflist",
			make: func(r *rig) {
				r.write(r.t, list, strings.Replace(listOf("1.0.0", "net"), `"plugins"`, `"loadOnlyInlinedPlugins": true, "plugins"`, 1))
				r.write(r.t, "net/bpffs.conf", ours)
			},
		},
		{
			name: "a drop-in file of no network", check: "drop-ins", status: Failure, says: "there is no network nett", fix: "bpffsctl install --bin-dir BIN --conf-dir NETS --mode conflist --plugin-conf NETS/nett/bpffs.conf && rm NETS/nett/bpffs.conf",
			make: func(r *rig) { r.write(r.t, "nett/bpffs.conf", ours) },
		},
		{
			name: "an unknown key of a map", check: "plugin-configuration", status: Failure, says: "maps[0].size: 1: there is no such key", fix: "${EDITOR:-vi} NETS/10-net.conflist",
			make: func(r *rig) {
				r.write(r.t, list, listOf("1.0.0", "net", `{"type": "bpffs", "maps": [{"name": "stats_", "size": 1}]}`))
			},
			repair: func(r *rig) { r.write(r.t, list, listOf("1.0.0", "net", ours)) },
		},
		{
			name: "a relative root", check: "plugin-configuration", status: Failure, says: "is not an absolute path", fix: "${EDITOR:-vi} NETS/10-net.conflist",
			make:   func(r *rig) { r.write(r.t, list, listOf("1.0.0", "net", `{"type": "bpffs", "bpfRoot": "run/bpf"}`)) },
			repair: func(r *rig) { r.write(r.t, list, listOf("1.0.0", "net", ours)) },
		},
		{
			name: "an unknown key in a drop-in file", check: "plugin-configuration", status: Warning, says: "the plugin ignores the unknown bpfroot", fix: "${EDITOR:-vi} NETS/net/bpffs.conf",
			make:   func(r *rig) { r.write(r.t, "net/bpffs.conf", `{"type": "bpffs", "bpfroot": "/run/bpf"}`) },
			repair: func(r *rig) { remove(r.t, filepath.Join(r.ConfDir, "net/bpffs.conf")) },
		},
	} {
		t.Run(f.name, f.test)
	}
}

// Without --root the configurations say where to look.
func TestPlacesOfTheNetworks(t *testing.T) {
	r := newRig(t)
	other := newRig(t)
	r.write(t, "10-net.conflist", listOf("1.0.0", "net", `{"type": "bpffs", "bpfRoot": "`+r.Root+`", "maps": [{"name": "stats_"}]}`))
	r.write(t, "20-other.conflist", listOf("1.0.0", "other", `{"type": "bpffs", "bpfRoot": "`+other.Root+`"}`))
	want := []string{r.Root, other.Root}
	r.Root = ""
	var got []string
	for _, f := range of(Run(t.Context(), r.Options), "root") {
		got = append(got, f.Looked)
	}
	if !slices.Equal(got, want) {
		t.Errorf("looked at: got %q, want %q", got, want)
	}
}

// Endpoints in a root that the configurations do not name any more are looked at
// too, where DEL looks for them.
func TestPlacesOfEarlier(t *testing.T) {
	r, earlier := newRig(t), newRig(t)
	testns.Bind(t, earlier.Root, bpffs.DefaultRoot)
	r.write(t, "10-net.conflist", listOf("1.0.0", "net", `{"type": "bpffs", "bpfRoot": "`+r.Root+`"}`))
	want := []string{r.records(), filepath.Join(bpffs.DefaultRoot, "cni")}
	r.Root = ""
	for range 2 {
		var got []string
		for _, f := range of(Run(t.Context(), r.Options), "records") {
			got = append(got, f.Looked)
		}
		if !slices.Equal(got, want) {
			t.Errorf("records looked at: got %q, want %q", got, want)
		}
		earlier.del(t, earlier.pod)
		want = want[:1]
	}
}

// A bpffs that several roots show is looked at once, at the one that is configured.
func TestOnePlaceIsLookedAtOnce(t *testing.T) {
	for _, row := range []struct {
		name string
		make func(r *rig)
	}{
		{"at the default", func(r *rig) { testns.Bind(r.t, r.Root, bpffs.DefaultRoot) }},
		{"at the fallback", func(r *rig) {
			fallback := r.t.TempDir()
			testns.Bind(r.t, r.Root, fallback)
			r.write(r.t, "10-net.conflist", listOf("1.0.0", "net", fmt.Sprintf(`{"type": "bpffs", "bpfRoot": %q, "bpfFallback": %q}`, r.Root, fallback)))
		}},
		{"by a link", func(r *rig) {
			link := filepath.Join(r.t.TempDir(), "link")
			testns.Must(r.t, os.Symlink(r.Root, link))
			r.write(r.t, "10-net.conflist", listOf("1.0.0", "net", fmt.Sprintf(`{"type": "bpffs", "bpfRoot": %q, "bpfFallback": %q}`, r.Root, link)))
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := newRig(t)
			r.write(t, "10-net.conflist", listOf("1.0.0", "net", fmt.Sprintf(`{"type": "bpffs", "bpfRoot": %q}`, r.Root)))
			row.make(r)
			want := r.records()
			r.Root = ""
			if found := of(Run(t.Context(), r.Options), "records"); len(found) != 1 || found[0].Looked != want {
				t.Errorf("records: got %+v, want one finding about %s", found, want)
			}
		})
	}
}

// STATUS of the plugin would remove what a killed process left, and say that a root
// is bad, which is another check's business.
func TestAskingThePluginChangesNothing(t *testing.T) {
	r := newRig(t)
	r.write(t, "10-net.conflist", listOf("1.1.0", "net", `{"type": "bpffs", "bpfRoot": "`+r.Root+`"}`))
	mkdir(t, r.records("scratch"))
	if bad := faulty(of(r.run(t), "plugin-configuration")); len(bad) > 0 {
		t.Errorf("plugin-configuration: %+v", bad)
	}
	testns.Mount(t, "tmpfs", r.Root, "")
	if bad := faulty(of(r.run(t), "plugin-configuration")); len(bad) > 0 {
		t.Errorf("plugin-configuration on a stack: %+v", bad)
	}
}

// The network of Multus calls others, of which nobody else knows.
func TestNetworkThatDelegates(t *testing.T) {
	r := newRig(t)
	r.write(t, "00-multus.conf", `{"cniVersion": "1.0.0", "name": "multus", "type": "multus", "clusterNetwork": "net"}`)
	if bad := faulty(of(r.run(t), "networks")); len(bad) > 0 {
		t.Errorf("networks with Multus in front: %+v", bad)
	}
}

// The auxiliary chain of Multus needs no list of its name, neither that of OpenShift nor
// one of which Multus is told in the directory.
func TestAuxiliaryChain(t *testing.T) {
	for name, multus := range map[string]string{
		"vendor-cni-chain": `{"cniVersion": "0.3.1", "name": "ovn-kubernetes", "type": "ovn-k8s-cni-overlay"}`,
		"more":             `{"cniVersion": "0.3.1", "name": "m", "type": "multus", "auxiliaryCNIChainName": "more"}`,
		"none":             `{"cniVersion": "0.3.1", "name": "m", "type": "multus"}`,
	} {
		r := newRig(t)
		remove(t, filepath.Join(r.ConfDir, "10-net.conflist"))
		r.write(t, "10-first.conf", multus)
		r.write(t, name+"/bpffs.conf", ours)
		found := r.run(t)
		bad := append(faulty(of(found, "networks")), faulty(of(found, "drop-ins"))...)
		if (len(bad) > 0) != (name == "none") {
			t.Errorf("chain %s: %+v", name, bad)
		}
		if name == "none" {
			continue
		}
		if places := of(found, "plugin-configuration"); len(places) != 1 || !strings.Contains(places[0].Detail, "accepts 1 configuration") {
			t.Errorf("chain %s: the configuration in it: got %+v, want it to be checked", name, places)
		}
		r.write(t, name+"/50-x.conf", "{")
		if bad := faulty(of(r.run(t), "drop-ins")); len(bad) != 1 || !strings.Contains(bad[0].Detail, "leaves out its chain "+name) {
			t.Errorf("chain %s with half a file: %+v", name, bad)
		}
	}
}

// A network directory that is a link counts, and one that cannot be read is no absent
// one.
func TestNetworkDirectories(t *testing.T) {
	r := newRig(t)
	r.write(t, "10-net.conflist", listOf("1.0.0", "net"))
	r.write(t, "../elsewhere/bpffs.conf", ours)
	testns.Must(t, os.Symlink("../elsewhere", filepath.Join(r.ConfDir, "net")))
	if bad := faulty(of(r.run(t), "networks")); len(bad) > 0 {
		t.Errorf("bpffs behind a link: %+v", bad)
	}
	testns.Must(t, os.Rename(filepath.Join(r.ConfDir, "net"), filepath.Join(r.ConfDir, "nett")))
	if bad := faulty(of(r.run(t), "drop-ins")); len(bad) != 1 || !strings.Contains(bad[0].Detail, "there is no network nett") {
		t.Errorf("bpffs behind a link of no network: %+v", bad)
	}
}

// What ADD of the built plugin does not know, and nothing else, is unknown here.
func TestKnownKeys(t *testing.T) {
	r := newRig(t)
	config := `{"cniVersion": "1.0.0", "name": "net", "type": "bpffs", "bpfRoot": "` + r.Root + `", "zzz": 1, "cni.dev/x": 1`
	for _, key := range []string{
		"bpfFallback", "mapPrefix", "maps", "args", "capabilities", "dns", "ipam", "ipMasq", "runtimeConfig",
	} {
		config += `, "` + key + `": null`
	}
	config += `, "prevResult": {"cniVersion": "1.0.0"}}`
	cmd := exec.Command(r.plugin())
	cmd.Env = []string{"CNI_COMMAND=ADD", "CNI_CONTAINERID=c", "CNI_IFNAME=eth0", "CNI_NETNS=/none", "CNI_PATH=/"}
	cmd.Stdin = strings.NewReader(config)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("ADD with %s: %v: %s", config, err, stderr.String())
	}
	lines := slices.DeleteFunc(strings.Split(stderr.String(), "\n"), func(l string) bool { return !strings.Contains(l, "key") })
	if len(lines) != 1 || !strings.Contains(lines[0], "zzz") {
		t.Errorf("warnings of ADD: got %q, want only of zzz", lines)
	}
	conf, err := netconf.Parse([]byte(config))
	testns.Must(t, err)
	if got := conf.UnknownKeys(); !slices.Equal(got, []string{"zzz"}) {
		t.Errorf("unknown keys: got %q, want zzz", got)
	}
}
