package integration

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/test/internal/node"
	"github.com/cni-bpffs/cni-bpffs/test/internal/plugintest"
)

// A rootState is what can be at a path, and what the plugin makes of it.
type rootState struct {
	name    string
	prepare func(t *testing.T, path string)
	mounts  bool     // a new bpffs
	at      string   // the root that is used, if not the path
	refused []string // what the error says; nil if the root is used
	foreign bool     // refused as another file system: the fallback is for that
}

func rootStates() []rootState {
	mount := func(fsTypes ...string) func(*testing.T, string) {
		return func(t *testing.T, path string) {
			t.Helper()
			mkdir(t, path)
			for _, fsType := range fsTypes {
				testns.Mount(t, fsType, path, "")
			}
		}
	}
	return []rootState{
		{name: "missing", prepare: func(*testing.T, string) {}, mounts: true},
		{name: "a directory", prepare: mount(), mounts: true},
		{name: "a bpffs", prepare: mount("bpf")},
		{name: "a bpffs on a part of something", prepare: bpffsOnPart},
		{name: "a link to a directory", prepare: linkToDirectory, mounts: true, at: customDir + "/target"},
		{name: "a tmpfs", prepare: mount("tmpfs"), refused: []string{"tmpfs", "wanted bpf"}, foreign: true},
		{name: "two bpffs", prepare: mount("bpf", "bpf"), refused: []string{"bpf (/) over bpf (/)", "umount"}},
		{name: "a tmpfs on a bpffs", prepare: mount("bpf", "tmpfs"), refused: []string{"tmpfs (/) over bpf (/)", "umount"}},
		{name: "a bpffs on a tmpfs", prepare: mount("tmpfs", "bpf"), refused: []string{"bpf (/) over tmpfs (/)", "umount"}},
		{name: "a file", prepare: file, refused: []string{"not a directory"}},
		{name: "a link to itself", prepare: linkToItself, refused: []string{"too many"}},
	}
}

// bpffsOnPart is what "ip netns exec" and tc leave.
func bpffsOnPart(t *testing.T, path string) {
	t.Helper()
	mkdir(t, path)
	mkdir(t, customDir+"/part")
	testns.Bind(t, customDir+"/part", path)
	testns.Mount(t, "bpf", path, "")
}

func linkToDirectory(t *testing.T, path string) {
	t.Helper()
	mkdir(t, customDir+"/target")
	testns.Must(t, os.Symlink(customDir+"/target", path))
}

func linkToItself(t *testing.T, path string) {
	t.Helper()
	testns.Must(t, os.Symlink(path, path))
}

func file(t *testing.T, path string) {
	t.Helper()
	testns.Must(t, os.WriteFile(path, nil, 0o600))
}

// onOldKernel returns the plugin as it runs on a kernel before 6.8, which has no
// statmount(2).
func (p plugin) onOldKernel(t *testing.T) plugin {
	t.Helper()
	old, err := p.Within(plugintest.Limits{Fail: map[uint32]unix.Errno{unix.SYS_STATMOUNT: unix.ENOSYS}})
	testns.Must(t, err)
	return plugin{old}
}

// eachLook runs the test on a node of its own, once on this kernel and once as on
// an old one.
func eachLook(t *testing.T, name string, test func(t *testing.T, p plugin)) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		test(t, newNode(t))
	})
	t.Run(name+" on an old kernel", func(t *testing.T) {
		test(t, newNode(t).onOldKernel(t))
	})
}

func TestGivenRoot(t *testing.T) {
	for _, s := range rootStates() {
		eachLook(t, s.name, func(t *testing.T, p plugin) {
			t.Helper()
			s.prepare(t, customRoot)
			p.checkRoot(t, s, conf(keys{"bpfRoot": customRoot}), customRoot)
		})
	}
}

func TestDefaultRoot(t *testing.T) {
	for _, s := range rootStates() {
		if s.foreign {
			continue // TestFallback
		}
		eachLook(t, s.name, func(t *testing.T, p plugin) {
			t.Helper()
			testns.Mount(t, "tmpfs", filepath.Dir(defaultRoot), "") // sysfs takes no files
			s.prepare(t, defaultRoot)
			p.checkRoot(t, s, conf(nil), defaultRoot)
		})
	}
}

func TestFallback(t *testing.T) {
	for _, s := range rootStates() {
		for _, at := range []string{fallback, customRoot} {
			eachLook(t, s.name+" at "+filepath.Base(at), func(t *testing.T, p plugin) {
				t.Helper()
				testns.Mount(t, "tmpfs", defaultRoot, "")
				mkdir(t, filepath.Dir(at))
				s.prepare(t, at)
				warnings := p.checkRoot(t, s, conf(keys{"bpfFallback": at}), at)
				if s.refused == nil && !plugintest.Contains(warnings, "warning", defaultRoot, "another file system") {
					t.Errorf("ADD: got the warnings %q, want one about %s", warnings, defaultRoot)
				}
			})
		}
	}
}

// Where the network has a root of its own, what somebody else did to the default is
// a warning: pods must remain deletable.
func TestRootsOfOthers(t *testing.T) {
	for _, s := range []struct {
		name    string
		prepare func(t *testing.T, root string)
		warns   string
		code    uint // where the default is the network's root
	}{
		{"records of somebody else", func(t *testing.T, root string) { t.Helper(); mkdir(t, root+"/cni/x") }, "layout", 102},
		{"for everybody", func(t *testing.T, root string) {
			t.Helper()
			mkdir(t, root+"/cni")
			testns.Must(t, os.Chmod(root, 0o777))
		}, "unsafe", 101},
	} {
		t.Run(s.name, func(t *testing.T) {
			p := newNode(t)
			testns.Mount(t, "bpf", defaultRoot, "")
			s.prepare(t, defaultRoot)
			own := conf(keys{"bpfRoot": customRoot})
			p.Succeed(t, "ADD", own)
			for _, verb := range []string{"DEL", "GC"} {
				c := own
				if verb == "GC" {
					c = withValid(own, "[]")
				}
				if a := p.Succeed(t, verb, c); !plugintest.Contains(a.Stderr, "warning", s.warns, defaultRoot) {
					t.Errorf("%s: got the warnings %q, want one about %s", verb, a.Stderr, defaultRoot)
				}
			}
			p.Fail(t, s.code, []string{s.warns}, "DEL", conf(nil))
		})
	}
}

// checkRoot wants every verb to do with the root what the table says, and none
// but ADD to change anything. It returns the warnings of ADD.
func (p plugin) checkRoot(t *testing.T, s rootState, conf, path string) string {
	t.Helper()
	if s.at != "" {
		path = s.at
	}
	before := snapshot(t)
	p.Succeed(t, "DEL", conf)
	p.Succeed(t, "GC", withValid(conf, "[]"))
	p.Fail(t, 105, []string{"no endpoint"}, "CHECK", conf)
	if s.refused != nil {
		p.Fail(t, 50, s.refused, "STATUS", conf)
		p.Fail(t, 100, s.refused, "ADD", conf)
		unchanged(t, before)
		return ""
	}
	p.Succeed(t, "STATUS", conf)
	unchanged(t, before)
	a := p.Succeed(t, "ADD", conf)
	for _, got := range paths(t, a.Stdout) {
		if want := filepath.Join(path, "tc/globals") + "/"; !strings.HasPrefix(got, want) {
			t.Errorf("ADD: got the path %s, want it below %s", got, want)
		}
	}
	if got, want := bpfMounts(t), []string{path}; !slices.Equal(got, want) {
		t.Errorf("bpffs after ADD: got %q, want %q", got, want)
	}
	if s.mounts {
		checkMountOptions(t, path)
	}
	p.Succeed(t, "STATUS", conf)
	p.Succeed(t, "DEL", conf)
	node.NothingLeft(t, path)
	return a.Stderr
}

// withValid returns the configuration with the list that a runtime sends with GC.
func withValid(conf, list string) string {
	return strings.TrimSuffix(conf, "}") + `,"cni.dev/valid-attachments":` + list + "}"
}

func checkMountOptions(t *testing.T, path string) {
	t.Helper()
	fi, err := os.Stat(path)
	testns.Must(t, err)
	if got := fi.Mode().Perm(); got != 0o700 {
		t.Errorf("mode of the new bpffs: got %v, want 0700", got)
	}
	table, err := os.ReadFile("/proc/self/mountinfo")
	testns.Must(t, err)
	if want := " " + path + " rw,nosuid,nodev,noexec,"; !strings.Contains(string(table), want) {
		t.Errorf("options of the new bpffs: got no mount with %q in\n%s", want, table)
	}
}
