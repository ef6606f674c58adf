package doctor

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// looks lets the runtime say where it looks, as containerd 2.4 does.
func (r *rig) looks(confDir string, binDirs ...string) {
	r.cri.Info = map[string]string{"config": fmt.Sprintf(`{"cni": {"binDirs": ["%s"], "confDir": %q}}`, strings.Join(binDirs, `", "`), confDir)}
}

// loaded lets the runtime say which network it has loaded, as containerd 1.6 and 2.4
// do.
func (r *rig) loaded(name, version string, plugins ...string) {
	if r.cri.Info == nil {
		r.cri.Info = make(map[string]string)
	}
	var types []string
	for _, p := range plugins {
		types = append(types, fmt.Sprintf(`{"Network": {"type": %q}}`, p))
	}
	r.cri.Info["cniconfig"] = fmt.Sprintf(`{"Networks": [{"IFName": "lo", "Config": {"Name": "cni-loopback", "CNIVersion": "0.3.1"}},
		{"IFName": "eth0", "Config": {"Name": %q, "CNIVersion": %q, "Plugins": [%s]}}]}`, name, version, strings.Join(types, ", "))
}

func TestFaultsOfTheDirectories(t *testing.T) {
	const list = "10-net.conflist"
	for _, f := range []fault{
		{
			name: "plugins elsewhere", check: "runtime-directories", status: Failure, says: "the runtime does not look there: containerd 2.4.2 reads /usr/lib/cni",
			fix:    "bpffsctl install --conf-dir NETS --cri-socket SOCKET; leave out --bin-dir, or type --bin-dir /usr/lib/cni",
			make:   func(r *rig) { r.looks(r.ConfDir, "/usr/lib/cni") },
			repair: func(r *rig) { r.looks(r.ConfDir, "/usr/lib/cni", r.BinDir) },
		},
		{
			name: "networks elsewhere", check: "runtime-directories", status: Failure, says: "the runtime does not look there: containerd 2.4.2 reads /etc/x",
			fix:    "leave out --conf-dir, or type --conf-dir /etc/x",
			make:   func(r *rig) { r.looks("/etc/x", r.BinDir) },
			repair: func(r *rig) { r.looks(r.ConfDir+"/../"+filepath.Base(r.ConfDir), r.BinDir) },
		},
		{
			name: "bpffs where the runtime does not look", check: "plugin", status: Failure, says: "missing", fix: "bpffsctl install --cri-socket SOCKET",
			make: func(r *rig) {
				r.looks(r.ConfDir, r.t.TempDir(), r.t.TempDir())
				r.BinDir, r.ConfDir = "", ""
			},
		},
		{
			name: "the list was changed unseen", check: "runtime-networks", status: Failure,
			says: "containerd 2.4.2 has loaded the network net, cniVersion 1.0.0, with bridge, and has not read that it has bpffs", fix: "touch NETS/.bpffs-look && rm NETS/.bpffs-look",
			make: func(r *rig) { r.loaded("net", "1.0.0", "bridge") }, repair: func(r *rig) { r.loaded("net", "1.0.0", "bridge", "bpffs") },
		},
		{
			name: "bpffs was taken out unseen", check: "runtime-networks", status: Failure, says: "has not read that bpffs was taken out", fix: "touch NETS/.bpffs-look && rm NETS/.bpffs-look",
			make:   func(r *rig) { r.write(r.t, list, listOf("1.0.0", "net")); r.loaded("net", "1.0.0", "bridge", "bpffs") },
			repair: func(r *rig) { r.loaded("net", "1.0.0", "bridge") },
		},
		{
			name: "another network than in the files", check: "runtime-networks", status: Warning, says: "loaded the network other, cniVersion 0.4.0, with ptp, portmap, and no file in NETS says so", fix: "--conf-dir",
			make: func(r *rig) { r.loaded("other", "0.4.0", "ptp", "portmap") }, repair: func(r *rig) { r.loaded("net", "1.0.0", "bridge", "bpffs") },
		},
		{
			name: "a drop-in file that came unseen", check: "drop-ins", status: Failure, says: "containerd 2.4.2 has not read it yet", fix: "touch NETS/.bpffs-look && rm NETS/.bpffs-look",
			make: func(r *rig) {
				r.write(r.t, list, listOf("1.0.0", "net"))
				r.write(r.t, "net/bpffs.conf", ours)
				r.loaded("net", "1.0.0", "bridge")
			},
			repair: func(r *rig) { r.loaded("net", "1.0.0", "bridge", "bpffs") },
		},
		{
			name: "a list of versions for another runtime", check: "cni-version", status: Failure, says: `bpffs does not support cniVersion ""`,
			fix: "bpffsctl install --bin-dir BIN --conf-dir NETS --cni-version 1.0.0",
			make: func(r *rig) {
				r.cri.Release = "1.6.20~ds1"
				r.write(r.t, list, versions(`"cniVersions": ["0.4.0", "1.0.0", "1.1.0"]`))
			},
		},
		{
			name: "a version that the runtime took", check: "cni-version", status: Failure, says: `bpffs does not support cniVersion "0.2.0"`,
			fix:    "--cni-version 1.0.0",
			make:   func(r *rig) { r.loaded("net", "0.2.0", "bridge", "bpffs") },
			repair: func(r *rig) { r.loaded("net", "1.1.0", "bridge", "bpffs") },
		},
	} {
		t.Run(f.name, f.test)
	}
}

// versions returns a network that has bpffs, and this of versions.
func versions(keys string) string {
	return fmt.Sprintf(`{%s, "name": "net", "plugins": [%s, %s]}`, keys, bridge, ours)
}

func TestDirectoriesAreKnown(t *testing.T) {
	const list = "10-net.conflist"
	for _, row := range []struct {
		name, check, says string
		make              func(r *rig)
	}{
		{"as given", "runtime-directories", "plugins as given, networks as given", func(*rig) {}},
		{"as said", "runtime-directories", "plugins as the runtime says, networks as the runtime says", func(r *rig) {
			r.looks(r.ConfDir, r.t.TempDir(), r.BinDir)
			r.BinDir, r.ConfDir = "", ""
		}},
		{"by another name", "runtime-directories", "as given", func(r *rig) {
			other := r.t.TempDir()
			testns.Bind(r.t, r.BinDir, other)
			r.looks(r.ConfDir, other)
		}},
		{"said of plugins only", "runtime-directories", "as given", func(r *rig) { r.looks("", r.BinDir) }},
		{"in an info that is no JSON", "runtime-directories", "as given", func(r *rig) {
			r.cri.Info = map[string]string{"config": "cni", "cniconfig": "{"}
		}},
		{"a loaded network", "runtime-networks", "containerd 2.4.2 has loaded the network net, cniVersion 1.0.0, with bridge, bpffs", func(r *rig) {
			r.loaded("net", "1.0.0", "bridge", "bpffs")
		}},
		{"a loaded Multus", "runtime-networks", "Multus reads its networks elsewhere", func(r *rig) { r.loaded("multus-cni-network", "0.3.1", "multus-shim") }},
		{"a drop-in file that is loaded", "drop-ins", "containerd 2.4.2 reads it", func(r *rig) {
			r.write(r.t, list, listOf("1.0.0", "net"))
			r.write(r.t, "net/bpffs.conf", ours)
			r.loaded("net", "1.0.0", "bridge", "bpffs")
		}},
		{"several versions", "cni-version", "cniVersion 1.1.0", func(r *rig) {
			r.write(r.t, list, versions(`"cniVersions": ["0.4.0", "1.0.0", "1.1.0", "1.2.0"]`))
		}},
		{"several versions for an older runtime, too", "cni-version", "cniVersion 0.4.0", func(r *rig) {
			r.cri.Release = "v1.7.27"
			r.write(r.t, list, versions(`"cniVersion": "0.4.0", "cniVersions": ["1.0.0", "1.1.0"]`))
		}},
		{"of several versions the loaded one", "cni-version", "cniVersion 1.0.0", func(r *rig) {
			r.write(r.t, list, versions(`"cniVersion": "0.3.1", "cniVersions": ["1.0.0", "1.1.0"]`))
			r.loaded("net", "1.0.0", "bridge", "bpffs")
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := newRig(t)
			row.make(r)
			its := of(Run(t.Context(), r.Options), row.check)
			if bad := faulty(its); len(bad) > 0 || !strings.Contains(fmt.Sprint(its), row.says) {
				t.Errorf("got %+v, want no fault and %q", its, row.says)
			}
		})
	}
}

// Without a flag and without a runtime that says it the directories are assumed.
func TestDirectoriesAreAssumed(t *testing.T) {
	r := newRig(t)
	r.BinDir, r.ConfDir = "", ""
	for _, says := range []string{"containerd 2.4.2 does not say where it looks", "no runtime answers"} {
		its := of(Run(t.Context(), r.Options), "runtime-directories")
		if want := "assumed /opt/cni/bin for plugins and /etc/cni/net.d for networks: " + says; len(its) != 1 || its[0].Status != OK || its[0].Detail != want {
			t.Errorf("got %+v, want ok and %q", its, want)
		}
		r.stopRuntime()
	}
	if its := of(Run(t.Context(), r.Options), "plugin"); len(its) != 1 || its[0].Because != "runtime" {
		t.Errorf("the plugin where the runtime may not look: got %+v, want it skipped because of the runtime", its)
	}
}

// Of networks that the runtime does not read it is not said that it uses them, nor that
// it has none.
func TestNetworksThatAreNotRead(t *testing.T) {
	for name, change := range map[string]func(r *rig){
		"a network of ours": func(*rig) {},
		"none":              func(r *rig) { r.ConfDir = r.t.TempDir() },
		"no directory":      func(r *rig) { r.ConfDir = "/none" },
		"half a file":       func(r *rig) { r.write(r.t, "00.conflist", "{") },
	} {
		r := newRig(t)
		change(r)
		r.looks("/etc/x", r.BinDir)
		found := r.run(t)
		for _, check := range []string{"networks", "runtime-networks"} {
			if its := of(found, check); len(its) != 1 || its[0].Status != Skipped || its[0].Because != "runtime-directories" {
				t.Errorf("%s, %s: got %+v, want it skipped because of runtime-directories", name, check, its)
			}
		}
	}
}
