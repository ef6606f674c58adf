package doctor

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/testadd"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/testcri"
	"github.com/cni-bpffs/cni-bpffs/internal/netconf"
	"github.com/cni-bpffs/cni-bpffs/internal/podfs"
	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

// withVolume gives the network a volume of pods, in the directory of kubelet, which has
// one pod.
func (r *rig) withVolume(t *testing.T, keys string) (v testadd.Volume) {
	t.Helper()
	kubelet := t.TempDir()
	testns.Mount(t, "tmpfs", kubelet, "mode=0755")
	v = testadd.Volume{KubeletDir: kubelet, UID: "0a1b-2c"}
	r.write(t, "10-net.conflist", listOf("1.0.0", "net", fmt.Sprintf(
		`{"type": "bpffs", "podVolume": "bpffs", "kubeletDir": %q, "maps": [%s]%s}`, kubelet,
		`{"name": "stats_", "type": "array", "keySize": 4, "valueSize": 8, "maxEntries": 1, "pod": "rw"}`, keys)))
	stats := bpffs.MapDecl{Name: "stats_", Pod: bpffs.PodWrites, Spec: bpffs.MapSpec{Type: unix.BPF_MAP_TYPE_ARRAY, KeySize: 4, ValueSize: 8, MaxEntries: 1}}
	policy := bpffs.MapDecl{Name: "policy_", Pod: bpffs.PodReads, Spec: stats.Spec}
	r.del(t, r.pod)
	var err error
	r.id, err = testadd.Add(t.Context(), r.Root, r.pod, bpffs.Details{Pod: "my-ns/web-0", NetNS: r.netns}, policy, stats)
	testns.Must(t, err)
	testns.Must(t, v.Show(t.Context(), r.Root, r.id, policy, stats))
	return v
}

// expect wants one fault of the check, or none.
func expect(t *testing.T, found []Finding, check string, status Status, says, fix string) {
	t.Helper()
	its := of(found, check)
	bad := faulty(its)
	switch {
	case len(its) == 0:
		t.Errorf("%s says nothing", check)
	case status == OK && len(bad) > 0:
		t.Errorf("%s: got %+v, want no fault", check, bad)
	case status != OK && (len(bad) != 1 || bad[0].Status != status || !strings.Contains(bad[0].Detail, says) || !strings.Contains(bad[0].Fix, fix)):
		t.Errorf("%s: got %+v, want %s with %q and the fix %q", check, its, status, says, fix)
	}
}

func TestKubeletDir(t *testing.T) {
	for _, row := range []struct {
		name   string
		pods   []testcri.Pod
		change func(t *testing.T, v testadd.Volume)
		want   Status
	}{
		{"with the runtime's pod", []testcri.Pod{{ID: "c1", UID: "0a1b-2c"}}, nil, OK},
		{"with one of several", []testcri.Pod{{ID: "c2", UID: "other"}, {ID: "c1", UID: "0a1b-2c"}}, nil, OK},
		{"no pod runs", nil, nil, OK},
		{"a pod that no kubelet made", []testcri.Pod{{ID: "c1"}}, nil, OK},
		{"the pods are elsewhere", []testcri.Pod{{ID: "c1", UID: "other"}, {ID: "c2", UID: "third"}}, nil, Warning},
		{"no directory of pods", nil, func(t *testing.T, v testadd.Volume) {
			t.Helper()
			testns.Must(t, os.Rename(v.KubeletDir+"/pods", v.KubeletDir+"/plugins"))
		}, Warning},
		{"a link to nothing", []testcri.Pod{{ID: "c1", UID: "0a1b-2c"}}, func(t *testing.T, v testadd.Volume) {
			t.Helper()
			testns.Must(t, os.Rename(v.KubeletDir+"/pods", v.KubeletDir+"/plugins"))
			testns.Must(t, os.Symlink("missing", v.KubeletDir+"/pods"))
		}, Warning},
		{"another file system over it", []testcri.Pod{{ID: "c1", UID: "0a1b-2c"}}, func(t *testing.T, v testadd.Volume) {
			t.Helper()
			testns.Mount(t, "tmpfs", v.KubeletDir, "")
		}, Warning},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := newRig(t)
			v := r.withVolume(t, "")
			r.CRISocket = testcri.Start(t, row.pods...).Socket
			if row.change != nil {
				row.change(t, v)
			}
			r.Patience = 2 * time.Second
			expect(t, r.run(t), "pod-volumes", row.want, "find it empty", "${EDITOR:-vi} "+r.ConfDir+"/10-net.conflist")
		})
	}
}

// What the kernel says makes a fault only where pods can have volumes.
func TestPodSecurity(t *testing.T) {
	enforce := func(value string) func(t *testing.T) {
		return func(t *testing.T) {
			t.Helper()
			testns.Mount(t, "tmpfs", "/sys/fs", "")
			mkdir(t, filepath.Dir(enforcing))
			testns.Must(t, os.WriteFile(enforcing, []byte(value), 0o600))
		}
	}
	sysctl := func(value string) func(t *testing.T) {
		return func(t *testing.T) {
			t.Helper()
			file := filepath.Join(t.TempDir(), "sysctl")
			testns.Must(t, os.WriteFile(file, []byte(value+"\n"), 0o600))
			testns.Bind(t, file, unprivileged)
		}
	}
	for _, row := range []struct {
		name   string
		make   func(t *testing.T)
		status Status
		says   string
	}{
		{"SELinux enforces", enforce("1"), Warning, "not tried"},
		{"SELinux is permissive", enforce("0"), OK, ""},
		{"no SELinux", func(*testing.T) {}, OK, ""},
		{"programs for everybody", sysctl("0"), Warning, "can load programs"},
		{"never again", sysctl("1"), OK, ""},
		{"not now", sysctl("2"), OK, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := newRig(t)
			row.make(t)
			expect(t, r.run(t), "pod-volumes", OK, "", "")
			r.withVolume(t, "")
			expect(t, r.run(t), "pod-volumes", row.status, row.says, "")
		})
	}
}

func TestDecideTokens(t *testing.T) {
	parse := func(keys string) promise {
		conf, err := netconf.Parse([]byte(`{"name": "net", "cniVersion": "1.0.0", "type": "bpffs"` + keys + `}`))
		testns.Must(t, errors.Join(err, conf.ParseAll()))
		return promise{path: "/etc/net", conf: conf}
	}
	delegates := parse(`, "podVolume": "bpffs", "delegate": {"namespaces": ["obs", "mesh"], "maps": ["hash"]}`)
	none := errors.New("the kernel has no BPF tokens")
	for _, row := range []struct {
		name    string
		u       promise
		refused error
		fails   bool
	}{
		{"no token on this kernel", delegates, none, true},
		{"it cannot be asked", delegates, os.ErrPermission, true},
		{"tokens", delegates, nil, false},
		{"nobody gets one", parse(`, "podVolume": "bpffs"`), none, false},
		{"no volume", parse(""), none, false},
	} {
		found := decideTokens(row.u, row.refused)
		if got := Failed(found); got != row.fails || got && !strings.Contains(found[0].Detail, "pods of obs, mesh") {
			t.Errorf("%s: got %+v, want a failure: %v", row.name, found, row.fails)
		}
	}
}

func TestKernelWithoutVolumes(t *testing.T) {
	p := promise{"/etc/cni/net.d/10-net.conflist", &netconf.Config{PodVolume: "bpffs"}}
	if found := decideKernel(p, nil); found != nil {
		t.Errorf("a kernel that can have volumes: got %+v, want nothing", found)
	}
	found := decideKernel(p, podfs.ErrUnfindable)
	if !Failed(found) || !strings.Contains(found[0].Detail, "the volume bpffs do not start") || !strings.Contains(found[0].Detail, "Linux 5.17") {
		t.Errorf("a kernel that cannot: got %+v, want a failure that names the volume and the kernel", found)
	}
}

// Which maps a token hides is said, where there is one.
func TestWithoutToken(t *testing.T) {
	const delegate = `, "delegate": {"namespaces": ["obs"], "maps": ["hash"]}`
	const policy = `, "maps": [{"name": "policy_", "type": "hash", "keySize": 4, "valueSize": 4, "maxEntries": 1, "pod": "ACCESS"}]`
	for _, row := range []struct {
		keys string
		want string
	}{
		{delegate + strings.ReplaceAll(policy, "ACCESS", "ro"), "maps that are ro"},
		{delegate + strings.ReplaceAll(policy, "ACCESS", "rw"), ""},
		{strings.ReplaceAll(policy, "ACCESS", "ro"), ""},
		{delegate, ""},
	} {
		r := newRig(t)
		r.withVolume(t, "")
		kubelet := t.TempDir()
		mkdir(t, kubelet+"/pods")
		r.write(t, "10-net.conflist", listOf("1.0.0", "net", fmt.Sprintf(`{"type": "bpffs", "podVolume": "bpffs", "kubeletDir": %q%s}`, kubelet, row.keys)))
		found := of(r.run(t), "pod-volumes")
		if len(found) != 1 || found[0].Status != OK || !strings.Contains(found[0].Detail, row.want) || strings.Contains(found[0].Detail, "token") != (row.want != "") {
			t.Errorf("with %s: got %+v, want %q", row.keys, found, row.want)
		}
	}
}

func TestViewsUnmounted(t *testing.T) {
	for _, row := range []struct {
		name   string
		remove []string
		says   string
	}{
		{"one", []string{"maps"}, "1 directory in volumes of pods no longer mounted: VOLUME/eth0/maps;"},
		{"another", []string{"maps-rw"}, "VOLUME/eth0/maps-rw;"},
		{"both", []string{"maps", "maps-rw"}, "2 directories in volumes of pods no longer mounted: VOLUME/eth0/maps, VOLUME/eth0/maps-rw"},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := newRig(t)
			r.hurry()
			v := r.withVolume(t, "")
			expect(t, r.run(t), "pod-views", OK, "", "")
			for _, name := range row.remove {
				unmount(t, filepath.Join(v.Path(), "eth0", name))
			}
			found := r.run(t)
			expect(t, found, "pod-views", Warning, strings.ReplaceAll(row.says, "VOLUME", v.Path()), "kubectl -n my-ns delete pod web-0")
			if its := faulty(of(found, "pod-views")); len(its) == 1 && (len(its[0].Endpoints) != 1 || its[0].Endpoints[0].ID != r.id) {
				t.Errorf("got it about %+v, want endpoint %d", its[0].Endpoints, r.id)
			}
		})
	}
}

// A mount that no record names is found, and the fix removes it. The records of another
// bpffs name theirs.
func TestViewsUnrecorded(t *testing.T) {
	for _, row := range []struct {
		name   string
		forget string // below the records
		says   string
	}{
		{"the record of an older plugin's DEL", "endpoints", "2 mounts of the plugin that no record names: VOLUME/eth0/maps, VOLUME/eth0/maps-rw"},
		{"all records", "", "2 mounts"},
		{"one entry", "endpoints/ID/pod-mounts/maps", "1 mount of the plugin that no record names: VOLUME/eth0/maps;"},
		{"what leads to the volume", "endpoints/ID/pod-volume", "2 mounts"},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := newRig(t)
			r.hurry()
			v := r.withVolume(t, fmt.Sprintf(`, "bpfRoot": %q`, r.Root))
			look := func() []Finding {
				everywhere := r.Options
				everywhere.Root = ""
				return Run(t.Context(), everywhere)
			}
			expect(t, look(), "pod-views", OK, "", "")
			testns.Must(t, os.RemoveAll(r.records(strings.ReplaceAll(row.forget, "ID", fmt.Sprintf("%05d", r.id)))))
			found := look()
			expect(t, found, "pod-views", Warning, strings.ReplaceAll(row.says, "VOLUME", v.Path()), "only if nobody uses it")
			expect(t, r.run(t), "pod-views", OK, "", "") // with --root that is not known
			if its := faulty(of(found, "pod-views")); len(its) == 1 {
				_, fix, _ := strings.Cut(its[0].Fix, ": umount")
				typed(t, "umount"+fix)
			}
			expect(t, look(), "pod-views", OK, "", "")
		})
	}
}

// What hides a view, or a record that cannot be read, is not taken for its absence.
func TestViewsUnknown(t *testing.T) {
	for _, over := range []string{"eth0/maps", "eth0", "."} {
		r := newRig(t)
		v := r.withVolume(t, "")
		testns.Mount(t, "tmpfs", filepath.Join(v.Path(), over), "")
		expect(t, r.run(t), "pod-views", Warning, "something is mounted over", "")
	}
	r := newRig(t)
	r.withVolume(t, "")
	mkdir(t, r.records("endpoints/00001"))
	found := of(r.run(t), "pod-views")
	if !slices.ContainsFunc(found, func(f Finding) bool { return f.Status == Skipped && f.Because == "records" }) {
		t.Errorf("with a record that cannot be read: got %+v, want that it is skipped", found)
	}
}
