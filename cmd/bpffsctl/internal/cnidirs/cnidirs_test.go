package cnidirs

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/cri"
	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

func TestMain(m *testing.M) {
	testns.Act(map[string]func(io.Writer) error{"runtime": beRuntime})
	os.Exit(testns.Main(m))
}

// containerd returns one of the process that says these directories.
func containerd(pid int, dirs cri.Dirs) Runtime {
	return Runtime{
		Runtime: cri.Runtime{Version: cri.Version{Runtime: "containerd", Version: "v2.4.2"}, PID: pid},
		Status:  cri.Status{Dirs: dirs},
	}
}

func TestOf(t *testing.T) {
	a, b, none := t.TempDir(), t.TempDir(), "/none/such"
	testns.Must(t, os.WriteFile(filepath.Join(b, "bpffs"), nil, 0o755))
	said := cri.Dirs{Bin: []string{none, a, b}, Conf: []string{"/c", "/d"}}
	type dirs struct {
		bin, conf string
		from      [2]Source
		having    string
		assumed   string // a part
	}
	for _, tt := range []struct {
		name string
		q    Request
		r    Runtime
		want dirs
	}{
		{"nothing is known", Request{}, Runtime{}, dirs{DefaultBin, DefaultConf, [2]Source{Assumed, Assumed}, "[" + DefaultBin + "]", "/opt/cni/bin for plugins and /etc/cni/net.d for networks: no runtime answers"}},
		{"the runtime says it", Request{}, containerd(0, said), dirs{a, "/c", [2]Source{Said, Said}, "[" + b + "]", ""}},
		{"the runtime does not say it", Request{}, containerd(0, cri.Dirs{}), dirs{DefaultBin, DefaultConf, [2]Source{Assumed, Assumed}, "[" + DefaultBin + "]", "containerd 2.4.2 does not say where it looks"}},
		{"the runtime says one of them", Request{}, containerd(0, cri.Dirs{Bin: []string{b, a}}), dirs{b, DefaultConf, [2]Source{Said, Assumed}, "[" + b + "]", "assumed /etc/cni/net.d for networks"}},
		{"both are given", Request{BinDir: "/x", ConfDir: "/y"}, containerd(0, said), dirs{"/x", "/y", [2]Source{Given, Given}, "[/x]", ""}},
		{"one is given", Request{ConfDir: "/y"}, containerd(0, said), dirs{a, "/y", [2]Source{Said, Given}, "[" + b + "]", ""}},
		{"none is there", Request{}, containerd(0, cri.Dirs{Bin: []string{none, none + "2"}, Conf: []string{none}}), dirs{none, none, [2]Source{Said, Said}, "[" + none + "]", ""}},
	} {
		d := Of(tt.q, tt.r)
		got := dirs{d.Target(), d.Conf, [2]Source{d.BinFrom, d.ConfFrom}, fmt.Sprint(d.Having("bpffs")), d.Assumption()}
		if tt.want.assumed != "" && strings.Contains(got.assumed, tt.want.assumed) {
			got.assumed = tt.want.assumed
		}
		if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(dirs{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestFlags(t *testing.T) {
	testns.Need(t)
	a, b := t.TempDir(), t.TempDir()
	r := containerd(os.Getpid(), cri.Dirs{Bin: []string{a}, Conf: []string{b}})
	for _, tt := range []struct {
		q    Request
		want string
	}{
		{Request{}, "[]"},
		{Request{BinDir: a, ConfDir: b, CRISocket: "/s"}, "[--bin-dir " + a + " --conf-dir " + b + "]"},
		{Request{BinDir: b, ConfDir: b, CRISocket: "/s"}, "[--conf-dir " + b + " --cri-socket /s]"},
		{Request{BinDir: a}, "[--bin-dir " + a + "]"},
	} {
		if got := fmt.Sprint(Of(tt.q, r).Flags()); got != tt.want {
			t.Errorf("%+v: got %s, want %s", tt.q, got, tt.want)
		}
	}
}

const (
	envCover  = "BPFFS_TEST_COVER"
	envChroot = "BPFFS_TEST_CHROOT"
)

// beRuntime is a process in a mount namespace of its own, in which a directory is
// covered, or with a root of its own.
func beRuntime(stdout io.Writer) error {
	if dir := os.Getenv(envCover); dir != "" {
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, ""); err != nil {
			return err
		}
	}
	if dir := os.Getenv(envChroot); dir != "" {
		if err := errors.Join(syscall.Chroot(dir), os.Chdir("/")); err != nil {
			return err
		}
	}
	fmt.Fprintln(stdout, "runs")
	testns.Await()
	return nil
}

func TestUnread(t *testing.T) {
	testns.Need(t)
	top := t.TempDir()
	at := func(name string) string { return filepath.Join(top, name) }
	for _, dir := range []string{"bin", "other", "bound", "parent/bin", "root/opt", "root/data/cni", "host"} {
		testns.Must(t, os.MkdirAll(at(dir), 0o755))
	}
	testns.Must(t, errors.Join(
		os.Symlink("bin", at("link")), os.Symlink("parent", at("by")),
		os.Symlink("/data", at("root/opt/link")), // absolute, which leads elsewhere with another root
	))
	testns.Bind(t, at("bin"), at("bound"))
	testns.Bind(t, at("root/data"), at("host"))
	self := os.Getpid()
	for _, tt := range []struct {
		name       string
		pid        int
		given      string
		said       []string
		unread     bool
		saysOthers string
	}{
		{"the same", self, at("bin"), []string{at("bin")}, false, ""},
		{"one of several", self, at("bin"), []string{at("other"), at("bin")}, false, ""},
		{"another", self, at("other"), []string{at("bin"), at("parent")}, true, at("bin") + ", " + at("parent")},
		{"another that is missing", self, at("none"), []string{at("bin")}, true, at("bin")},
		{"while the runtime's is missing", self, at("bin"), []string{at("none")}, true, at("none")},
		{"both missing", self, at("none/x"), []string{at("none/../none/x")}, false, ""},
		{"by a link", self, at("link"), []string{at("bin")}, false, ""},
		{"to a link", self, at("bin"), []string{at("link")}, false, ""},
		{"below a link", self, at("by/bin"), []string{at("parent/bin")}, false, ""},
		{"missing below a link", self, at("by/new"), []string{at("parent/new")}, false, ""},
		{"by another mount", self, at("bound"), []string{at("bin")}, false, ""},
		{"not said", self, at("other"), nil, false, ""},
		{"a runtime that is not seen", 0, at("other"), []string{at("bin")}, false, ""},
		{"a runtime that is gone", 1 << 22, at("other"), []string{at("bin")}, false, ""},
		{"a runtime in a namespace of its own", testns.StartApart(t, "runtime"), at("link"), []string{at("bin")}, false, ""},
		{"covered for the runtime", testns.StartApart(t, "runtime", envCover+"="+at("bin")), at("bin"), []string{at("bin")}, true, at("bin")},
		{"below another root", testns.StartApart(t, "runtime", envChroot+"="+at("root")), at("host/cni"), []string{"/opt/link/cni"}, false, ""},
		{"missing below another root", testns.StartApart(t, "runtime", envChroot+"="+at("root")), at("host/new"), []string{"/opt/link/new"}, false, ""},
		{"by the same name below another root", testns.StartApart(t, "runtime", envChroot+"="+at("root")), at("bin"), []string{at("bin")}, true, at("bin")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := containerd(tt.pid, cri.Dirs{Bin: tt.said, Conf: tt.said})
			got := Of(Request{BinDir: tt.given, ConfDir: tt.given}, r).Unread()
			if (len(got) == 2) != tt.unread || (len(got) == 0) == tt.unread {
				t.Fatalf("%s, while the runtime reads %q: got %+v, want it unread: %v", tt.given, tt.said, got, tt.unread)
			}
			for i, flag := range []string{"--bin-dir", "--conf-dir"} {
				if tt.unread && (!strings.Contains(got[i].Error(), tt.given+": the runtime does not look there: containerd 2.4.2 reads "+tt.saysOthers) ||
					!strings.Contains(got[i].Error(), "leave out "+flag+", or type "+flag+" "+tt.said[0])) {
					t.Errorf("got %v, want what the runtime reads and what to type", got[i])
				}
			}
		})
	}
}

// A directory of the runtime's name may be another one here.
func TestUnreadByDefault(t *testing.T) {
	testns.Need(t)
	bin, conf := t.TempDir(), t.TempDir()
	dirs := cri.Dirs{Bin: []string{bin}, Conf: []string{conf}}
	for pid, want := range map[int]int{os.Getpid(): 0, 0: 0, testns.StartApart(t, "runtime", envCover+"="+bin): 1} {
		got := Of(Request{}, containerd(pid, dirs)).Unread()
		if len(got) != want || want > 0 && (got[0].Dir != bin || !strings.Contains(got[0].Fix, fmt.Sprintf("nsenter --target %d --mount", pid))) {
			t.Errorf("of process %d: got %+v, want %d", pid, got, want)
		}
	}
}

// Multus reads other directories of networks than the runtime.
func TestDelegated(t *testing.T) {
	testns.Need(t)
	loaded := func(plugins ...string) []cri.Network { return []cri.Network{{Name: "n", Plugins: plugins}} }
	for _, tt := range []struct {
		name, file string
		loaded     []cri.Network
		want       int
	}{
		{"no network", "", nil, 1},
		{"Multus' file", `{"cniVersion": "1.0.0", "name": "multus", "type": "multus"}`, nil, 0},
		{"the thick Multus' file", `{"cniVersion": "0.3.1", "name": "multus", "type": "multus-shim"}`, nil, 0},
		{"another's file", `{"cniVersion": "1.0.0", "name": "n", "type": "ptp"}`, nil, 1},
		{"a broken file", `{"type": "multus"`, nil, 1},
		{"Multus is loaded", "", loaded("multus-cni", "portmap"), 0},
		{"another is loaded", "", loaded("ptp"), 1},
	} {
		conf := t.TempDir()
		testns.Must(t, os.WriteFile(filepath.Join(conf, "00-multus.conf"), []byte(tt.file), 0o600))
		r := containerd(os.Getpid(), cri.Dirs{Bin: []string{t.TempDir()}, Conf: []string{conf}})
		r.Status.Loaded = tt.loaded
		if got := Of(Request{ConfDir: t.TempDir()}, r).Unread(); len(got) != tt.want {
			t.Errorf("%s: got %+v, want %d", tt.name, got, tt.want)
		}
		if got := Of(Request{BinDir: t.TempDir()}, r).Unread(); len(got) != 1 {
			t.Errorf("%s, of plugins: got %+v, want one", tt.name, got)
		}
	}
}

func TestMake(t *testing.T) {
	testns.Need(t)
	for _, tt := range []struct {
		name    string
		request func(top string) Request
		runtime func(top string) Runtime
		made    []string // below the top
		refused string   // a part of the error
		logged  string   // a part of the log
	}{
		{"as the runtime says", func(string) Request { return Request{} }, func(top string) Runtime {
			return containerd(os.Getpid(), cri.Dirs{Bin: []string{top + "/a/bin", top + "/b"}, Conf: []string{top + "/net.d"}})
		}, []string{"a/bin", "net.d"}, "", "created "},
		{"given, and the runtime says the same", func(top string) Request { return Request{BinDir: top + "/b"} }, func(top string) Runtime {
			return containerd(os.Getpid(), cri.Dirs{Bin: []string{top + "/a", top + "/b"}, Conf: []string{top}})
		}, []string{"b"}, "", "created "},
		{
			"assumed, and a runtime answers", func(string) Request { return Request{} }, func(string) Runtime { return containerd(os.Getpid(), cri.Dirs{}) },
			[]string{"opt/cni/bin", "etc/cni/net.d"},
			"", "created /etc/cni/net.d",
		},
		{"assumed, and no runtime answers", func(string) Request { return Request{} }, func(string) Runtime { return Runtime{} }, nil, "mkdir -p /opt/cni/bin", ""},
		{"given, and no runtime answers", func(top string) Request { return Request{BinDir: top + "/x", ConfDir: top} }, func(string) Runtime { return Runtime{} }, nil, "/x, or give the runtime's directory with --bin-dir", ""},
		{"networks given, and no runtime answers", func(top string) Request { return Request{BinDir: top, ConfDir: top + "/x"} }, func(string) Runtime { return Runtime{} }, nil, "", "/x, or give the runtime's directory with --conf-dir"},
		{"as a runtime says that is not seen", func(string) Request { return Request{} }, func(top string) Runtime {
			return containerd(0, cri.Dirs{Bin: []string{top + "/a"}, Conf: []string{top}})
		}, nil, "mkdir -p", ""},
		{"all are there", func(top string) Request { return Request{BinDir: top, ConfDir: top} }, func(string) Runtime { return Runtime{} }, nil, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			top := t.TempDir()
			for _, dir := range []string{"/opt", "/etc"} { // the node's own, in this namespace
				testns.Must(t, os.Mkdir(top+dir, 0o755))
				testns.Bind(t, top+dir, dir)
			}
			var log []string
			err := Of(tt.request(top), tt.runtime(top)).Make(func(format string, args ...any) { log = append(log, fmt.Sprintf(format, args...)) })
			if (err == nil) != (tt.refused == "") || err != nil && !strings.Contains(err.Error(), tt.refused) {
				t.Errorf("error: got %v, want %q", err, tt.refused)
			}
			if text := strings.Join(log, "\n"); (text == "") != (tt.logged == "") || !strings.Contains(text, tt.logged) {
				t.Errorf("log: got %q, want %q", text, tt.logged)
			}
			if got := leaves(t, top); !slices.Equal(got, slices.Sorted(slices.Values(tt.made))) {
				t.Errorf("made: got %q, want %q", got, tt.made)
			}
		})
	}
}

// leaves returns the directories below top that have none below them, but for the
// node's own.
func leaves(t *testing.T, top string) (paths []string) {
	t.Helper()
	testns.Must(t, filepath.WalkDir(top, func(path string, _ os.DirEntry, err error) error {
		if entries, _ := os.ReadDir(path); len(entries) == 0 && !slices.Contains([]string{top + "/opt", top + "/etc"}, path) {
			paths = append(paths, strings.TrimPrefix(path, top+"/"))
		}
		return err
	}))
	return paths
}
