package pods

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/test/internal/node"
	"github.com/cni-bpffs/cni-bpffs/test/internal/plugintest"
	"github.com/cni-bpffs/cni-bpffs/test/internal/trace"
)

const codePodVolume = 109

func linkTo(target string) func(t *testing.T, path string) {
	return func(t *testing.T, path string) {
		t.Helper()
		testns.Must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		testns.Must(t, os.RemoveAll(path))
		testns.Must(t, os.Symlink(target, path))
	}
}

func file(t *testing.T, path string) {
	t.Helper()
	testns.Must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	testns.Must(t, os.RemoveAll(path))
	testns.Must(t, os.WriteFile(path, []byte("theirs"), 0o600))
}

func full(t *testing.T, path string) {
	t.Helper()
	file(t, filepath.Join(path, "theirs"))
}

func mounted(fsType string) func(t *testing.T, path string) {
	return func(t *testing.T, path string) {
		t.Helper()
		testns.Must(t, os.MkdirAll(path, 0o755))
		testns.Mount(t, fsType, path, "")
		testns.Must(t, os.Mkdir(filepath.Join(path, "theirs"), 0o755))
	}
}

// bound mounts a directory of the same file system.
func bound(t *testing.T, path string) {
	t.Helper()
	testns.Must(t, os.MkdirAll(path, 0o755))
	from := filepath.Join(kubeletDir, "theirs")
	testns.Must(t, os.MkdirAll(from, 0o755))
	testns.Bind(t, from, path)
}

// TestRefused: what a pod or somebody else has put in the way is an error that says
// so, after which nothing is there that was not before.
func TestRefused(t *testing.T) {
	const target = "/run/target"
	for _, tt := range []struct {
		name    string
		where   func(s sandbox) string
		prepare func(t *testing.T, path string)
		says    string
	}{
		{"the volume is a link", sandbox.volume, linkTo(target), "symbolic link"},
		{"the volume is a link to nothing", sandbox.volume, linkTo("/missing"), "symbolic link"},
		{"the volume is a file", sandbox.volume, file, "not a directory"},
		{"a link above the volume", func(s sandbox) string { return filepath.Dir(s.volume()) }, func(t *testing.T, path string) {
			t.Helper()
			testns.Must(t, os.MkdirAll(target+"/bpffs", 0o755))
			linkTo(target)(t, path)
		}, "symbolic link"},
		{"eth0 is a link", func(s sandbox) string { return s.at("") }, linkTo(target), "not a directory"},
		{"eth0 is a link to nothing", func(s sandbox) string { return s.at("") }, linkTo("/missing"), "not a directory"},
		{"eth0 is a file", func(s sandbox) string { return s.at("") }, file, "not a directory"},
		{"eth0 is a mount", func(s sandbox) string { return s.at("") }, mounted("tmpfs"), "umount"},
		{"eth0 is a directory of elsewhere", func(s sandbox) string { return s.at("") }, bound, "umount"},
		{"maps is a link", func(s sandbox) string { return s.at("maps") }, linkTo(target), "not a directory"},
		{"maps is a link to itself", func(s sandbox) string { return s.at("maps") }, linkTo("maps"), "not a directory"},
		{"maps is a file", func(s sandbox) string { return s.at("maps") }, file, "not a directory"},
		{"maps has content", func(s sandbox) string { return s.at("maps") }, full, "remove it"},
		{"maps-rw has content", func(s sandbox) string { return s.at("maps-rw") }, full, "remove it"},
		{"maps is a tmpfs", func(s sandbox) string { return s.at("maps") }, mounted("tmpfs"), "umount"},
		{"maps is another bpffs", func(s sandbox) string { return s.at("maps") }, mounted("bpf"), "umount"},
		{"maps-rw is another bpffs", func(s sandbox) string { return s.at("maps-rw") }, mounted("bpf"), "umount"},
		{"maps is a directory of elsewhere", func(s sandbox) string { return s.at("maps") }, bound, "umount"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			eachKernel(t, func(t *testing.T, s sandbox) {
				t.Helper()
				testns.Must(t, os.MkdirAll(target+"/theirs", 0o755))
				path := tt.where(s)
				tt.prepare(t, path)
				before := everything(t, target)
				s.fail(t, codePodVolume, "ADD", filepath.Clean(path), tt.says)
				if diff := cmp.Diff(before, everything(t, target)); diff != "" {
					t.Errorf("after an ADD that was refused (-before +after):\n%s", diff)
				}
				wantNoRecords(t)
				s.del(t)
				if diff := cmp.Diff(before, everything(t, target)); diff != "" {
					t.Errorf("after a DEL of what was refused (-before +after):\n%s", diff)
				}
			})
		})
	}
}

// everything returns what is below the directory of kubelet and the target of links,
// and where things are mounted.
func everything(t *testing.T, target string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	for _, dir := range []string{kubeletDir, target} {
		tree, err := node.Kinds(dir)
		testns.Must(t, err)
		for name, kind := range tree {
			all[filepath.Join(dir, name)] = kind
		}
		for _, point := range mountsBelow(t, dir) {
			all[point] += " a mount"
		}
	}
	return all
}

// TestRefusedWay: another user could lead the plugin elsewhere.
func TestRefusedWay(t *testing.T) {
	for name, prepare := range map[string]func(t *testing.T, s sandbox) sandbox{
		"the directory of kubelet is another user's": func(t *testing.T, s sandbox) sandbox {
			t.Helper()
			testns.Chown(t, kubeletDir, 1000)
			return s
		},
		"everybody can write to the directory of kubelet": func(t *testing.T, s sandbox) sandbox {
			t.Helper()
			testns.Must(t, os.Chmod(kubeletDir, 0o777))
			return s
		},
		"a link of another user leads there": func(t *testing.T, s sandbox) sandbox {
			t.Helper()
			testns.Must(t, os.Mkdir("/run/theirs", 0o755))
			testns.Must(t, os.Symlink(kubeletDir, "/run/theirs/kubelet"))
			testns.Chown(t, "/run/theirs", 1000)
			return s.with(keys{"kubeletDir": "/run/theirs/kubelet"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := prepare(t, newSandbox(t))
			s.fail(t, codePodVolume, "ADD", "user")
			s.wantNothing(t)
			s.del(t)
		})
	}
}

// TestLinkedKubeletDir: the administrator may have moved the directory of kubelet.
func TestLinkedKubeletDir(t *testing.T) {
	s := newSandbox(t)
	testns.Must(t, os.Symlink(kubeletDir, "/run/kubelet"))
	linked := s.with(keys{"kubeletDir": "/run/kubelet"})
	linked.add(t)
	s.add(t)
	linked.del(t)
	s.wantNothing(t)
}

// TestRefusedUID: nothing that is no UID becomes part of a path.
func TestRefusedUID(t *testing.T) {
	for _, uid := range []string{"..", "0a1b-2c/../0a1b-2c", "/0a1b-2c", "0a1b-2c/", ".", "0a1b 2c", strings.Repeat("a", 254), "ü"} {
		t.Run(uid, func(t *testing.T) {
			s := newSandbox(t)
			asked := s
			asked.uid = uid
			asked.fail(t, codePodVolume, "ADD", "UID")
			s.wantNothing(t)
			asked.del(t)
		})
	}
}

// TestNotAsked: a pod that does not ask gets nothing, and pays one failed open.
func TestNotAsked(t *testing.T) {
	for _, tt := range []struct {
		name    string
		prepare func(t *testing.T, s sandbox) sandbox
		opens   int // below the directory of kubelet
	}{
		{"no volume of the name", func(_ *testing.T, s sandbox) sandbox { return s.with(keys{"podVolume": "another"}) }, 1},
		{"no volume at all", func(_ *testing.T, s sandbox) sandbox { s.uid = "another"; return s }, 1},
		{"no directory of kubelet", func(_ *testing.T, s sandbox) sandbox { return s.with(keys{"kubeletDir": "/var/lib/kubelet/not"}) }, 1},
		{"no UID", func(_ *testing.T, s sandbox) sandbox { s.uid = ""; return s }, 0},
		{"no podVolume", func(_ *testing.T, s sandbox) sandbox {
			return s.with(keys{"podVolume": nil, "maps": []keys{{"name": "stats_"}}})
		}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := tt.prepare(t, newSandbox(t))
			// once before, for what the first ADD on a node does
			first := s.with(nil)
			first.container = "first"
			s.plugin.Succeed(t, "ADD", first.conf(nil), first.env()...)
			paths, a, err := trace.Opens(s.plugin.Command("ADD", s.conf(nil), s.env()...))
			testns.Must(t, err)
			if a.Status != 0 {
				t.Fatalf("ADD: %+v", a)
			}
			opens := 0
			for _, path := range paths {
				if strings.HasPrefix(path, kubeletDir) {
					opens++
				}
			}
			if opens != tt.opens {
				t.Errorf("opened below %s: %d of %q, want %d", kubeletDir, opens, paths, tt.opens)
			}
			for _, call := range []string{"fsopen", "openat2", "move_mount", "fsmount"} {
				if n := s.count(t, call); n > 0 {
					t.Errorf("ADD of a pod that did not ask: %d times %s", n, call)
				}
			}
			if got := mountsBelow(t, kubeletDir); got != nil {
				t.Errorf("mounted: %q", got)
			}
			s.plugin.Succeed(t, "DEL", s.conf(nil), s.env()...)
			s.plugin.Succeed(t, "DEL", first.conf(nil), first.env()...)
			node.NothingLeft(t, root)
		})
	}
}

// count returns how often an ADD makes the system call.
func (s sandbox) count(t *testing.T, call string) (n int) {
	t.Helper()
	for {
		counts := func(nr uint64) bool { return trace.Name(nr) == call }
		at, _, _, err := trace.Run(s.plugin.Command("ADD", s.conf(nil), s.env()...), n+1, counts, func(int) error { return nil })
		testns.Must(t, err)
		if at.Nth == 0 {
			return n
		}
		n++
	}
}

// TestUmask: whoever is in the pod gets to the maps, whatever the runtime's umask.
func TestUmask(t *testing.T) {
	for _, mask := range []int{0, 0o022, 0o077, 0o777} {
		t.Run(fmt.Sprintf("%04o", mask), func(t *testing.T) {
			s := newSandbox(t)
			before := syscall.Umask(mask)
			result := s.plugin.Call(t, "ADD", s.conf(nil), s.env()...)
			syscall.Umask(before)
			if result.Status != 0 {
				t.Fatalf("ADD: %+v", result)
			}
			for name, want := range map[string]os.FileMode{"": 0o755, "maps": 0o755, "maps-rw": 0o755, "maps/policy_": 0o444, "maps-rw/stats_": 0o666} {
				fi, err := os.Stat(s.at(name))
				testns.Must(t, err)
				if got := fi.Mode().Perm(); got != want {
					t.Errorf("mode of %q: got %o, want %o", name, got, want)
				}
			}
			s.del(t)
		})
	}
}

// TestRolledBack: an ADD whose result reaches nobody, or which fails after the volume
// was prepared, leaves nothing.
func TestRolledBack(t *testing.T) {
	t.Run("nobody reads the result", func(t *testing.T) {
		s := newSandbox(t)
		r, w, err := os.Pipe()
		testns.Must(t, err)
		testns.Must(t, r.Close())
		cmd := s.plugin.Command("ADD", s.conf(nil), s.env()...)
		cmd.Stdout = w
		if err := cmd.Run(); err == nil {
			t.Error("ADD without a reader succeeds")
		}
		testns.Must(t, w.Close())
		s.wantNothing(t)
	})
	for call, nr := range map[string]uint32{
		"fsopen": unix.SYS_FSOPEN, "fsconfig": unix.SYS_FSCONFIG, "fsmount": unix.SYS_FSMOUNT, "move_mount": unix.SYS_MOVE_MOUNT,
		"openat2": unix.SYS_OPENAT2, "fchmodat": unix.SYS_FCHMODAT, "mount_setattr": unix.SYS_MOUNT_SETATTR,
	} {
		t.Run(call, func(t *testing.T) {
			s := newSandbox(t)
			testns.Must(t, os.MkdirAll(root, 0o755))
			testns.Mount(t, "bpf", root, "mode=0700")
			limited, err := s.plugin.Within(plugintest.Limits{Fail: map[uint32]unix.Errno{nr: unix.EPERM}})
			testns.Must(t, err)
			whole := s.plugin
			s.plugin = limited
			s.fail(t, codePodVolume, "ADD", "not permitted")
			s.plugin = whole
			if got := mountsBelow(t, kubeletDir); got != nil {
				t.Errorf("mounted: %q", got)
			}
			if entries, err := os.ReadDir(s.volume()); len(entries) > 0 && nr != unix.SYS_OPENAT2 || err != nil {
				t.Errorf("left in the volume: %v, %v", entries, err)
			}
			s.del(t)
			s.gc(t)
			wantNoRecords(t)
		})
	}
}
