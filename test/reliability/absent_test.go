package reliability

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/test/internal/node"
	"github.com/cni-bpffs/cni-bpffs/test/internal/plugintest"
	"github.com/cni-bpffs/cni-bpffs/test/internal/trace"
)

// looks are the system calls by which the plugin sees what is there.
func looks() []uint32 {
	return []uint32{
		unix.SYS_NEWFSTATAT, unix.SYS_STATX, unix.SYS_OPENAT, unix.SYS_READLINKAT, unix.SYS_FSTATFS, unix.SYS_STATFS,
		unix.SYS_STATMOUNT, unix.SYS_GETDENTS64, unix.SYS_FLOCK, unix.SYS_BPF,
	}
}

// notAbsent are errors of a look that say nothing about what is there.
func notAbsent() []unix.Errno {
	return []unix.Errno{unix.ENOMEM, unix.EMFILE, unix.ENFILE, unix.ESTALE, unix.EBUSY, unix.EIO, unix.EACCES, unix.EPERM}
}

// TestOnlyAbsentMeansAbsent: whichever look of a verb fails, it does not succeed
// with something left.
func TestOnlyAbsentMeansAbsent(t *testing.T) {
	for _, nr := range looks() {
		t.Run(trace.Name(uint64(nr)), func(t *testing.T) {
			t.Parallel()
			add := call{verb: "ADD", who: attachment{"net", "c", "eth0"}, root: newRoot(t), maps: created}
			for _, errno := range notAbsent() {
				for _, verb := range []string{"CHECK", "GC", "DEL"} {
					failing := plugintest.Limits{Fail: map[uint32]unix.Errno{nr: errno}}
					add.within(t, verb, failing, fmt.Sprintf("with %v from every %s", errno, trace.Name(uint64(nr))))
				}
			}
		})
	}
}

// within makes the call within limits with which it cannot look, after an ADD.
func (c call) within(t *testing.T, verb string, l plugintest.Limits, how string) {
	t.Helper()
	result := c.succeed(t).Stdout
	before := readTree(t, c.root)
	limited, err := plugin().Within(l)
	testns.Must(t, err)
	conf := c.as(verb).conf()
	if verb == "CHECK" {
		conf = plugintest.Conf(plugintest.Keys{
			"bpfRoot": c.root, "maps": json.RawMessage(c.maps), "prevResult": json.RawMessage(result),
		})
	}
	a, err := plugintest.Run(limited.Command(verb, conf, c.env()...))
	testns.Must(t, err)
	after := readTree(t, c.root)
	switch left := len(after.left()) > 0; {
	case a.Status != 0:
	case verb == "CHECK" && !cmp.Equal(before, after):
		t.Errorf("CHECK %s: the node changed (-before +after):\n%s", how, cmp.Diff(before, after))
	case verb != "CHECK" && left:
		t.Errorf("%s %s: got success with %q left, want an error or nothing left", verb, how, after.left())
	}
}

// TestOnlyAbsentMeansAbsentBelowAMount: where a bpffs is hidden, DEL succeeds with a
// warning, and only because it could see that.
func TestOnlyAbsentMeansAbsentBelowAMount(t *testing.T) {
	for _, errno := range []unix.Errno{unix.ENOMEM, unix.EIO, unix.EPERM} {
		for _, fsType := range []string{"tmpfs", "bpf"} {
			t.Run(fmt.Sprint(fsType, " with ", errno), func(t *testing.T) {
				add := call{verb: "ADD", who: attachment{"net", "c", "eth0"}, root: newRoot(t), maps: created}
				add.succeed(t)
				testns.Must(t, unix.Mount(fsType, add.root, fsType, 0, ""))
				for _, verb := range []string{"DEL", "GC"} {
					if a := add.as(verb).succeed(t); !plugintest.Contains(a.Stderr, "warning", "hidden", add.root) {
						t.Errorf("%s with a hidden bpffs: got the warning %q, want one that says so", verb, a.Stderr)
					}
					a, err := add.as(verb).tryWithin(plugintest.Limits{Fail: map[uint32]unix.Errno{unix.SYS_STATMOUNT: errno}})
					testns.Must(t, err)
					a.WantError(t, verb+" that cannot see what is hidden", 999, "statmount", add.root)
				}
			})
		}
	}
}

// TestOnlyAbsentMeansAbsentOfRoots: what cannot be a root, or is a link to nothing, keeps
// no pod from being deleted.
func TestOnlyAbsentMeansAbsentOfRoots(t *testing.T) {
	for name, prepare := range map[string]func(dir string) error{
		"missing":           func(string) error { return nil },
		"a file on the way": func(dir string) error { return unix.Mknod(filepath.Join(dir, "way"), unix.S_IFREG|0o600, 0) },
		"a loop of links":   func(dir string) error { return unix.Symlink("way", filepath.Join(dir, "way")) },
		"a link to nothing": func(dir string) error { return unix.Symlink("/missing/at/all", filepath.Join(dir, "way")) },
		"a link to a file":  func(dir string) error { return unix.Symlink("/etc/passwd", filepath.Join(dir, "way")) },
		"a link to a long one": func(dir string) error {
			long := dir + strings.Repeat("/"+strings.Repeat("d", 250), 13)
			return errors.Join(os.MkdirAll(long, 0o700), unix.Symlink(long, filepath.Join(dir, "way")))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Dir(newRoot(t))
			testns.Must(t, prepare(dir))
			c := call{verb: "ADD", who: attachment{"net", "c", "eth0"}, root: dir + "/way/bpf", maps: created}
			for _, verb := range []string{"DEL", "GC"} {
				c.as(verb).succeed(t)
			}
			before := node.Identities(t, dir)
			if name == "missing" {
				return
			}
			c.fail(t, 100, dir)
			c.as("STATUS").fail(t, 50, dir)
			if diff := cmp.Diff(before, node.Identities(t, dir)); diff != "" {
				t.Errorf("ADD and STATUS changed something (-before +after):\n%s", diff)
			}
		})
	}
}

// TestOnlyAbsentMeansAbsentOfRecords: records that cannot be read may have the pod.
func TestOnlyAbsentMeansAbsentOfRecords(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(records string) error
		code   uint
	}{
		{"of another layout", func(records string) error { return os.Rename(records+"/layout-1", records+"/layout-2") }, 102},
		{"in a root for everybody", func(records string) error { return os.Chmod(filepath.Dir(records), 0o777) }, 101},
		{"in a root of a user", func(records string) error { return os.Chown(filepath.Dir(records), nobody, nobody) }, 101},
		{"for everybody", func(records string) error { return os.Chmod(records, 0o777) }, 101},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root := newRoot(t)
			call{verb: "ADD", who: attachment{"net", "c", "eth0"}, root: root, maps: created}.succeed(t)
			testns.Must(t, tt.change(root+"/cni"))
			for _, who := range []attachment{{"net", "c", "eth0"}, {"net", "another", "eth0"}, {"other", "c", "eth0"}} {
				for _, verb := range []string{"DEL", "GC"} {
					call{verb: verb, who: who, root: root}.fail(t, tt.code, root)
				}
			}
		})
	}
}

// TestOnlyAbsentMeansAbsentOfLostRecords: where the records may still be, although
// the directory has got to another user or something is in its place, DEL and GC fail
// until it is ours again. A pod whose record is elsewhere can be deleted.
func TestOnlyAbsentMeansAbsentOfLostRecords(t *testing.T) {
	chown := func(path string) func(records string, uid int) error {
		return func(records string, uid int) error { return os.Chown(filepath.Join(records, path), uid, uid) }
	}
	replace := func(with func(records string) error) func(string, int) error {
		return func(records string, uid int) error {
			if uid == 0 {
				return errors.Join(os.Remove(records), os.Rename(records+"-away", records))
			}
			return errors.Join(os.Rename(records, records+"-away"), with(records))
		}
	}
	for _, tt := range []struct {
		name   string
		change func(records string, uid int) error // to the user, or back to root
		shows  bool                                // that records are there
	}{
		{"another user", chown("."), true},
		{"another user, with its contents", func(records string, uid int) error {
			return errors.Join(chown("layout-1")(records, uid), chown("endpoints")(records, uid), chown(".")(records, uid))
		}, true},
		{"the root of another user", chown(".."), true},
		{"for everybody", func(records string, uid int) error {
			return os.Chmod(records, map[bool]os.FileMode{true: 0o700, false: 0o777}[uid == 0])
		}, true},
		{"a directory of another user", replace(func(records string) error {
			return errors.Join(os.Mkdir(records, 0o700), os.Chown(records, nobody, nobody))
		}), false},
		{"a link", replace(func(records string) error { return os.Symlink("cni-away", records) }), false},
		{"a link to nothing", replace(func(records string) error { return os.Symlink("/missing", records) }), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root, other := newRoot(t), newRoot(t)
			lost := call{verb: "ADD", who: attachment{"net", "lost", "eth0"}, root: root, maps: created}
			elsewhere := call{verb: "ADD", who: attachment{"net", "elsewhere", "eth0"}, root: other, maps: created}
			path := lost.pinned(t)
			elsewhere.pinned(t)
			testns.Must(t, tt.change(root+"/cni", nobody))
			for _, verb := range []string{"DEL", "GC"} {
				lost.as(verb).fail(t, 101, "unsafe directory", root)
				if _, err := os.Lstat(path); err != nil {
					t.Errorf("%s with records that are not ours any more removed a map: %v", verb, err)
				}
			}
			conf := plugintest.Conf(plugintest.Keys{"bpfRoot": other, "bpfFallback": root, "cni.dev/valid-attachments": []string{}})
			plugin().Succeed(t, "DEL", conf, elsewhere.env()...) // its record is there
			for _, verb := range []string{"DEL", "GC"} {
				if tt.shows {
					plugin().Fail(t, 101, []string{root, "holds records of endpoints"}, verb, conf, lost.env()...)
				} else if a := plugin().Succeed(t, verb, conf, lost.env()...); !plugintest.Contains(a.Stderr, "warning", root) {
					t.Errorf("%s: got the warnings %q, want one about %s", verb, a.Stderr, root)
				}
			}
			testns.Must(t, tt.change(root+"/cni", 0))
			lost.as("DEL").succeed(t)
			node.NothingLeft(t, root)
		})
	}
}

// pinned is an ADD that pins its map. It returns the path of that.
func (c call) pinned(t *testing.T) string {
	t.Helper()
	paths, err := c.succeed(t).Paths()
	testns.Must(t, err)
	return paths[0]
}

// TestOnlyAbsentMeansAbsentOfPins: CHECK says that something differs only where it has
// seen that; else the code is that of the cause.
func TestOnlyAbsentMeansAbsentOfPins(t *testing.T) {
	refused := func(nr uint32, errno unix.Errno) plugintest.Limits {
		return plugintest.Limits{Fail: map[uint32]unix.Errno{nr: errno}}
	}
	remount := func(flags uintptr) func(root, pin string) error {
		return func(root, _ string) error { return unix.Mount("", root, "", unix.MS_REMOUNT|flags, "") }
	}
	for _, tt := range []struct {
		name   string
		change func(root, pin string) error
		limits plugintest.Limits
		code   uint // 0: success
		says   string
	}{
		{"as it was", nil, plugintest.Limits{}, 0, ""},
		{"a pin is gone", func(_, pin string) error { return os.Remove(pin) }, plugintest.Limits{}, 105, "no such file"},
		{"a directory", func(_, pin string) error { return errors.Join(os.Remove(pin), os.Mkdir(pin, 0o700)) }, plugintest.Limits{}, 105, "not a map"},
		{"a read-only mount", remount(unix.MS_BIND | unix.MS_RDONLY), plugintest.Limits{}, 0, ""},
		{"a read-only bpffs", remount(unix.MS_RDONLY), plugintest.Limits{}, 100, "read-only file system"},
		{"bpf: EIO", nil, refused(unix.SYS_BPF, unix.EIO), 106, "input/output error"},
		{"bpf: EACCES", nil, refused(unix.SYS_BPF, unix.EACCES), 106, "permission denied"},
		{"bpf: EPERM", nil, refused(unix.SYS_BPF, unix.EPERM), 106, "not permitted"},
		{"bpf: EROFS", nil, refused(unix.SYS_BPF, unix.EROFS), 100, "read-only file system"},
		{"statx: EIO", nil, refused(unix.SYS_STATX, unix.EIO), 999, "input/output error"},
		{"readlinkat: EIO", nil, refused(unix.SYS_READLINKAT, unix.EIO), 999, "input/output error"},
		{"flock: ENOMEM", nil, refused(unix.SYS_FLOCK, unix.ENOMEM), 999, "cannot allocate memory"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root := newRoot(t)
			add := call{verb: "ADD", who: attachment{"net", "c", "eth0"}, root: root, maps: created}
			a := add.succeed(t)
			paths, err := a.Paths()
			testns.Must(t, err)
			if tt.change != nil {
				testns.Must(t, tt.change(root, paths[0]))
			}
			limited, err := plugin().Within(tt.limits)
			testns.Must(t, err)
			conf := plugintest.Conf(plugintest.Keys{
				"bpfRoot": root, "maps": json.RawMessage(created), "prevResult": json.RawMessage(a.Stdout),
			})
			check := limited.Call(t, "CHECK", conf, add.env()...)
			if tt.code != 0 {
				check.WantError(t, "CHECK", tt.code, tt.says)
			} else if check.Status != 0 {
				t.Errorf("CHECK: got %+v, want success", check)
			}
		})
	}
}
