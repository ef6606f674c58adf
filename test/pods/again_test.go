package pods

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/cni-bpffs/cni-bpffs/internal/bpf"
	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/test/internal/node"
	"github.com/cni-bpffs/cni-bpffs/test/internal/plugintest"
)

const codeCheck = 105

// mountIDs returns what identifies the mounts of the views.
func (s sandbox) mountIDs(t *testing.T) map[string]uint64 {
	t.Helper()
	all := make(map[string]uint64)
	for _, dir := range s.dirs() {
		var st unix.Statx_t
		testns.Must(t, unix.Statx(unix.AT_FDCWD, s.at(dir), 0, unix.STATX_MNT_ID_UNIQUE|unix.STATX_MNT_ID, &st))
		all[dir] = st.Mnt_id
	}
	return all
}

// writable makes what the plugin has mounted writable for the test.
func writable(t *testing.T, path string) {
	t.Helper()
	_ = unix.Mount("", path, "", unix.MS_REMOUNT|unix.MS_BIND, "")
	testns.Must(t, unix.Mount("", path, "", unix.MS_REMOUNT, ""))
}

// A damage is what somebody did to a view.
type damage struct {
	name string
	do   func(t *testing.T, s sandbox)
	says string // CHECK
}

func damages() []damage {
	return []damage{
		{"unmounted", func(t *testing.T, s sandbox) { t.Helper(); testns.Must(t, unix.Unmount(s.at("maps"), 0)) }, "no longer mounted"},
		{"the other unmounted", func(t *testing.T, s sandbox) { t.Helper(); testns.Must(t, unix.Unmount(s.at("maps-rw"), 0)) }, "no longer mounted"},
		{"a pin removed", func(t *testing.T, s sandbox) {
			t.Helper()
			writable(t, s.at("maps-rw"))
			testns.Must(t, os.Remove(s.at("maps-rw/stats_")))
		}, "does not show"},
		{"a pin added", func(t *testing.T, s sandbox) {
			t.Helper()
			writable(t, s.at("maps-rw"))
			testns.Must(t, node.Pin(s.at("maps-rw/theirs")))
		}, "does not show"},
		{"another map", func(t *testing.T, s sandbox) {
			t.Helper()
			writable(t, s.at("maps-rw"))
			testns.Must(t, os.Remove(s.at("maps-rw/stats_")))
			testns.Must(t, node.Pin(s.at("maps-rw/stats_")))
		}, "does not show"},
		{"writable", func(t *testing.T, s sandbox) { t.Helper(); writable(t, s.at("maps")) }, "does not show"},
		{"moved", func(t *testing.T, s sandbox) {
			t.Helper()
			testns.Must(t, os.Rename(s.at(""), filepath.Join(s.volume(), "theirs")))
		}, "does not show"},
	}
}

// TestCheck: CHECK finds what is wrong with what the pod sees.
func TestCheck(t *testing.T) {
	for _, d := range damages() {
		t.Run(d.name, func(t *testing.T) {
			eachKernel(t, func(t *testing.T, s sandbox) {
				t.Helper()
				checked := s.withResult(s.add(t))
				checked.plugin.Succeed(t, "CHECK", checked.conf(nil), checked.env()...)
				d.do(t, s)
				checked.fail(t, codeCheck, "CHECK", s.at("maps"), d.says)
				s.del(t)
				if got := mountsBelow(t, kubeletDir); got != nil {
					t.Errorf("still mounted after DEL: %q", got)
				}
			})
		})
	}
	for name, over := range map[string]string{"a tmpfs over it": "tmpfs", "another bpffs over it": "bpf"} {
		t.Run(name, func(t *testing.T) {
			eachKernel(t, func(t *testing.T, s sandbox) {
				t.Helper()
				checked := s.withResult(s.add(t))
				testns.Mount(t, over, s.at("maps"), "")
				checked.fail(t, codeCheck, "CHECK", "mounted over "+s.at("maps"))
			})
		})
	}
}

// TestCannotSee: what could not be looked at is neither a difference nor made anew.
func TestCannotSee(t *testing.T) {
	for _, errno := range []unix.Errno{unix.EIO, unix.ENOMEM, unix.EMFILE} {
		for _, verb := range []string{"CHECK", "ADD"} {
			t.Run(verb+" "+errno.Error(), func(t *testing.T) {
				s := newSandbox(t)
				with := s.withResult(s.add(t))
				before := s.mountIDs(t)
				limited, err := s.plugin.Within(plugintest.Limits{Fail: map[uint32]unix.Errno{unix.SYS_GETDENTS64: errno}})
				testns.Must(t, err)
				with.plugin = limited
				with.fail(t, codePodVolume, verb, errno.Error())
				if diff := cmp.Diff(before, s.mountIDs(t)); diff != "" {
					t.Errorf("mounts after %s (-before +after):\n%s", verb, diff)
				}
				s.del(t)
			})
		}
	}
}

// TestAgain: a repeated ADD keeps what is right, and makes the rest anew.
func TestAgain(t *testing.T) {
	eachKernel(t, func(t *testing.T, s sandbox) {
		t.Helper()
		s.add(t)
		before := s.mountIDs(t)
		s.add(t)
		if diff := cmp.Diff(before, s.mountIDs(t)); diff != "" {
			t.Errorf("mounts after ADD again (-before +after):\n%s", diff)
		}
	})
	for _, d := range damages() {
		if d.name == "moved" {
			continue
		}
		t.Run(d.name, func(t *testing.T) {
			eachKernel(t, func(t *testing.T, s sandbox) {
				t.Helper()
				s.add(t)
				d.do(t, s)
				s.add(t)
				s.del(t)
				s.wantNothing(t)
			})
		})
	}
}

// TestAgainWithOtherMaps: the declarations changed in between.
func TestAgainWithOtherMaps(t *testing.T) {
	array := func(name, access string) keys {
		k := keys{"name": name, "type": "array", "keySize": 4, "valueSize": 8, "maxEntries": 1}
		if access != "" {
			k["pod"] = access
		}
		return k
	}
	for _, tt := range []struct {
		name          string
		before, after []keys
		want          []string
	}{
		{"one more", []keys{array("a_", "ro")}, []keys{array("a_", "ro"), array("b_", "ro")}, []string{"maps/a_", "maps/b_"}},
		{"one more to write", []keys{array("a_", "ro")}, []keys{array("a_", "ro"), array("b_", "rw")}, []string{"maps/a_", "maps-rw/b_"}},
		{"one less", []keys{array("a_", "ro"), array("b_", "ro")}, []keys{array("b_", "ro")}, []string{"maps/b_"}},
		{"from ro to rw", []keys{array("a_", "ro")}, []keys{array("a_", "rw")}, []string{"maps-rw/a_"}},
		{"from rw to ro", []keys{array("a_", "rw")}, []keys{array("a_", "ro")}, []string{"maps/a_"}},
		{"from ro to none", []keys{array("a_", "ro"), array("b_", "rw")}, []keys{array("a_", ""), array("b_", "rw")}, []string{"maps-rw/b_"}},
		{"from one to another", []keys{array("a_", "rw")}, []keys{array("b_", "rw")}, []string{"maps-rw/b_"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			eachKernel(t, func(t *testing.T, s sandbox) {
				t.Helper()
				for _, maps := range [][]keys{tt.before, tt.after, tt.after} {
					s.plugin.Succeed(t, "ADD", s.conf(keys{"maps": maps}), s.env()...)
				}
				found, err := filepath.Glob(s.at("*/*_"))
				testns.Must(t, err)
				for i, path := range found {
					found[i], err = filepath.Rel(s.at(""), path)
					testns.Must(t, err)
				}
				if diff := cmp.Diff(tt.want, found); diff != "" {
					t.Errorf("the pod sees (-want +got):\n%s", diff)
				}
				s.del(t)
				s.wantNothing(t)
			})
		})
	}
}

// TestManyMaps: there can be more maps than a process can have open files.
func TestManyMaps(t *testing.T) {
	s := newSandbox(t)
	var maps []keys
	for i := range 1500 {
		maps = append(maps, keys{"name": fmt.Sprintf("m%d_", i), "type": "array", "keySize": 4, "valueSize": 4, "maxEntries": 1, "pod": []string{"ro", "rw"}[i%2]})
	}
	many := s.with(keys{"maps": maps})
	for range 2 {
		s.plugin.Succeed(t, "ADD", many.conf(nil), s.env()...)
		for _, dir := range []string{"maps", "maps-rw"} {
			if got := len(names(t, s.at(dir))); got != len(maps)/2 {
				t.Errorf("%s shows %d maps, want %d", dir, got, len(maps)/2)
			}
		}
	}
	s.del(t)
	s.wantNothing(t)
}

// byName returns the directory in which the node's loaders find the maps.
func (s sandbox) byName(t *testing.T) string {
	t.Helper()
	pin := s.pins(t)["stats_"]
	return filepath.Join(root, "cni/endpoints", pin[len(pin)-len("00000"):], "by-name")
}

// load loads a collection as a program of the node does that reuses pins by name.
func load(t *testing.T, dir string, names ...string) map[string]ebpf.MapID {
	t.Helper()
	spec := &ebpf.CollectionSpec{Maps: make(map[string]*ebpf.MapSpec)}
	for _, name := range names {
		m := &ebpf.MapSpec{Name: name, Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1, Pinning: ebpf.PinByName}
		if name == "policy_" {
			m.Type, m.MaxEntries = ebpf.Hash, 8
		}
		spec.Maps[name] = m
	}
	c, err := ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{Maps: ebpf.MapOptions{PinPath: dir}})
	testns.Must(t, err)
	defer c.Close()
	all := make(map[string]ebpf.MapID)
	for name, m := range c.Maps {
		info, err := m.Info()
		testns.Must(t, err)
		all[name], _ = info.ID()
	}
	return all
}

// TestByName: a loader that looks for pins by name finds the pod's own maps.
func TestByName(t *testing.T) {
	for _, tt := range []struct {
		name    string
		prepare func(t *testing.T, s sandbox)
	}{
		{"after ADD", func(*testing.T, sandbox) {}},
		{"after ADD again", func(t *testing.T, s sandbox) { t.Helper(); s.add(t) }},
		{"in records of a version without it", func(t *testing.T, s sandbox) {
			t.Helper()
			testns.Must(t, os.RemoveAll(s.byName(t)))
			s.add(t)
		}},
		{"after a kill in the middle", func(t *testing.T, s sandbox) {
			t.Helper()
			testns.Must(t, os.Remove(filepath.Join(s.byName(t), "policy_")))
			s.add(t)
		}},
		{"with a link that leads elsewhere", func(t *testing.T, s sandbox) {
			t.Helper()
			link := filepath.Join(s.byName(t), "policy_")
			testns.Must(t, os.Remove(link))
			testns.Must(t, os.Symlink("stats_", link))
			s.add(t)
		}},
		{"without a volume", func(t *testing.T, s sandbox) {
			t.Helper()
			s.del(t)
			s.plugin.Succeed(t, "ADD", s.conf(keys{"podVolume": "another"}), s.env()...)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSandbox(t)
			other := s
			other.container, other.uid = "c2", "other"
			other.makeVolume(t)
			other.add(t)
			s.add(t)
			tt.prepare(t, s)
			pins := s.pins(t)
			want := map[string]ebpf.MapID{"stats_": mapID(t, pins["stats_"]), "policy_": mapID(t, pins["policy_"])}
			if diff := cmp.Diff(want, load(t, s.byName(t), "stats_", "policy_")); diff != "" {
				t.Errorf("by name (-want +got):\n%s", diff)
			}
			other.del(t)
			s.del(t)
			s.wantNothing(t)
		})
	}
}

// TestByNameMore: a second ADD with more maps, a map that somebody else pins, and what
// a loader pins there besides.
func TestByNameMore(t *testing.T) {
	s := newSandbox(t)
	s.add(t)
	maps := append(shows(), keys{"name": "more_", "type": "array", "keySize": 4, "valueSize": 8, "maxEntries": 1}, keys{"name": "theirs_"})
	s.plugin.Succeed(t, "ADD", s.conf(keys{"maps": maps}), s.env()...)
	if got, want := names(t, s.byName(t)), []string{"calls_", "more_", "policy_", "stats_"}; !cmp.Equal(got, want) {
		t.Errorf("by name after a second ADD: %q, want %q", got, want)
	}
	before := load(t, s.byName(t), "more_", "stats_", "extra_")
	if diff := cmp.Diff(before, load(t, s.byName(t), "more_", "stats_", "extra_")); diff != "" {
		t.Errorf("loaded again (-before +after):\n%s", diff)
	}
	s.plugin.Succeed(t, "ADD", s.conf(keys{"maps": maps}), s.env()...)
	s.del(t)
	s.wantNothing(t)
	wantGone(t, before["more_"], before["stats_"], before["extra_"])
}

// TestByNameOccupied: a loader has pinned a map of its own under a name that is
// declared later.
func TestByNameOccupied(t *testing.T) {
	s := newSandbox(t)
	s.add(t)
	pin := filepath.Join(s.byName(t), "more_")
	testns.Must(t, node.Pin(pin))
	more := s.with(keys{"maps": append(shows(), keys{"name": "more_", "type": "array", "keySize": 4, "valueSize": 8, "maxEntries": 1})})
	more.fail(t, 104, "ADD", pin, "occupied", "remove it")
	if ok, err := node.Precious(pin); !ok || err != nil {
		t.Errorf("the map of the loader: %v, %v", ok, err)
	}
	testns.Must(t, os.Remove(pin))
	more.plugin.Succeed(t, "ADD", more.conf(nil), more.env()...)
	if _, err := bpf.MapID(pin); err != nil {
		t.Errorf("by name after the ADD: %v", err)
	}
	s.del(t)
	s.wantNothing(t)
}
