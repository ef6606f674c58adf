package integration

import (
	"encoding/json"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/test/internal/plugintest"
)

// A situation is a node and a process on it.
type situation struct {
	name    string
	prepare func(t *testing.T)
	root    string // bpfRoot
	limits  plugintest.Limits
	attr    *syscall.SysProcAttr
	typed   bool   // a map is to be created
	maps    string // that are declared; empty for one of which typed says whether it is created
	says    string // why an ADD fails; empty where it succeeds
}

func refuses(nr uint32, errno unix.Errno) plugintest.Limits {
	return plugintest.Limits{Fail: map[uint32]unix.Errno{nr: errno}}
}

// inUserNamespace are the attributes of a process that is root in a user namespace
// of its own, with mounts of its own.
func inUserNamespace() *syscall.SysProcAttr {
	ids := []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
	return &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS, UidMappings: ids, GidMappings: ids}
}

func situations() []situation {
	tmpfs := func(options string) func(*testing.T) {
		return func(t *testing.T) {
			t.Helper()
			mkdir(t, customDir+"/fs")
			testns.Mount(t, "tmpfs", customDir+"/fs", options)
		}
	}
	mounted := func(t *testing.T) {
		t.Helper()
		mkdir(t, customRoot)
		testns.Mount(t, "bpf", customRoot, "mode=0700")
	}
	cgroup := func(t *testing.T) {
		t.Helper()
		mkdir(t, customDir+"/fs")
		testns.Mount(t, "cgroup2", customDir+"/fs", "")
	}
	none := func(*testing.T) {}
	long := strings.Repeat("x", 256)
	return []situation{
		{name: "nothing is there", prepare: none, root: customRoot},
		{name: "nothing is there, with a map", prepare: none, root: customRoot, typed: true},
		{name: "a bpffs", prepare: mounted, root: customRoot, typed: true},
		{name: "several directories are missing", prepare: none, root: customDir + "/a/b/c"},
		{name: "a read-only parent", prepare: func(t *testing.T) {
			t.Helper()
			tmpfs("")(t)
			testns.Must(t, unix.Mount("", customDir+"/fs", "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
		}, root: customDir + "/fs/a/b", says: "read-only file system"},
		{name: "below /proc", prepare: none, root: "/proc/bpf", says: "/proc/bpf"},
		{name: "below a directory of /proc", prepare: none, root: "/proc/sys/bpf/x", says: "/proc/sys/bpf"},
		{name: "a directory of /proc", prepare: none, root: "/proc/driver", says: "/proc/driver"},
		{name: "below /sys", prepare: none, root: "/sys/fs/other", says: "/sys/fs/other"},
		{name: "below a cgroup", prepare: cgroup, root: customDir + "/fs/bpf", says: customDir + "/fs/bpf"},
		{name: "below a file", prepare: func(t *testing.T) { t.Helper(); file(t, customDir+"/file") }, root: customDir + "/file/bpf", says: "not a directory"},
		{name: "a file", prepare: func(t *testing.T) { t.Helper(); file(t, customRoot) }, root: customRoot, says: "not a directory"},
		{name: "a name that is too long", prepare: none, root: customDir + "/" + long, says: "too long"},
		{name: "a name that is too long below one that is missing", prepare: none, root: customDir + "/a/" + long, says: "too long"},
		{name: "a dot in a name on a bpffs", prepare: mounted, root: customRoot + "/a/b.c", says: "dot"},
		{name: "a directory that is not empty", prepare: func(t *testing.T) { t.Helper(); mkdir(t, customRoot+"/x") }, root: customRoot, says: "not empty"},
		{name: "a bpffs that is read-only", prepare: func(t *testing.T) {
			t.Helper()
			mounted(t)
			testns.Must(t, unix.Mount("", customRoot, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""))
		}, root: customRoot, says: "read-only file system"},
		{name: "a user namespace", prepare: none, root: customRoot, attr: inUserNamespace(), says: "not permitted"},
		{name: "a user namespace, mounted", prepare: mounted, root: customRoot, attr: inUserNamespace(), typed: true, says: "not permitted"},
		{name: "without CAP_SYS_ADMIN", prepare: none, root: customRoot, limits: plugintest.Limits{Drop: []uintptr{unix.CAP_SYS_ADMIN}}, says: "CAP_SYS_ADMIN"},
		{name: "without CAP_BPF", prepare: mounted, root: customRoot, typed: true, limits: plugintest.Limits{Drop: []uintptr{unix.CAP_BPF, unix.CAP_SYS_ADMIN}}, says: "CAP_BPF"},
		{name: "without CAP_BPF, and no map to create", prepare: mounted, root: customRoot, limits: plugintest.Limits{Drop: []uintptr{unix.CAP_BPF, unix.CAP_SYS_ADMIN}}},
		{name: "fsopen refused", prepare: none, root: customRoot, limits: refuses(unix.SYS_FSOPEN, unix.EPERM), says: "fsopen"},
		{name: "fsconfig refused", prepare: none, root: customRoot, limits: refuses(unix.SYS_FSCONFIG, unix.EPERM), says: "fsconfig"},
		{name: "fsmount refused", prepare: none, root: customRoot, limits: refuses(unix.SYS_FSMOUNT, unix.EPERM), says: "fsmount"},
		{name: "move_mount refused", prepare: none, root: customRoot, limits: refuses(unix.SYS_MOVE_MOUNT, unix.EPERM), says: "move_mount"},
		{name: "move_mount missing", prepare: none, root: customRoot, limits: refuses(unix.SYS_MOVE_MOUNT, unix.ENOSYS), says: "Linux 5.2"},
		{name: "bpf refused", prepare: mounted, root: customRoot, typed: true, limits: refuses(unix.SYS_BPF, unix.EPERM), says: "not permitted"},
		{name: "a hash that is too large", prepare: mounted, root: customRoot, says: "too long", maps: `[{"name":"calls_","type":"hash","keySize":4,"valueSize":4,"maxEntries":4294967295}]`},
		{name: "a cpumap of too many CPUs", prepare: mounted, root: customRoot, says: "too long", maps: `[{"name":"calls_","type":"cpumap","keySize":4,"valueSize":4,"maxEntries":100000}]`},
		{name: "an arena of too many pages", prepare: mounted, root: customRoot, says: "the kernel refused the map", maps: `[{"name":"calls_","type":"arena","maxEntries":1048577,"flags":1024}]`},
		{name: "an array larger than any memory", prepare: mounted, root: customRoot, says: "cannot allocate memory", maps: `[{"name":"calls_","type":"array","keySize":4,"valueSize":1048576,"maxEntries":4294967295}]`},
		{name: "a trie that takes no memory yet", prepare: mounted, root: customRoot, maps: `[{"name":"calls_","type":"lpm_trie","keySize":8,"valueSize":4,"maxEntries":4294967295,"flags":1}]`},
		{name: "bpf missing", prepare: mounted, root: customRoot, typed: true, limits: refuses(unix.SYS_BPF, unix.ENOSYS), says: "not implemented"},
	}
}

// TestStatusIsAnADDThatStops: STATUS succeeds where an ADD does, and else says why
// it would not. It changes nothing, nor does an ADD that nothing but the node refuses.
func TestStatusIsAnADDThatStops(t *testing.T) {
	for _, s := range situations() {
		t.Run(s.name, func(t *testing.T) {
			p := newNode(t)
			s.prepare(t)
			limited, err := p.Within(s.limits)
			testns.Must(t, err)
			limited.Attr = s.attr
			c := conf(keys{"bpfRoot": s.root, "maps": json.RawMessage(`[{"name":"calls_"}]`)})
			if s.typed {
				c = conf(keys{"bpfRoot": s.root, "maps": json.RawMessage(`[{"name":"calls_","type":"hash","keySize":4,"valueSize":4,"maxEntries":1000}]`)})
			}
			if s.maps != "" {
				c = conf(keys{"bpfRoot": s.root, "maps": json.RawMessage(s.maps)})
			}
			before := snapshot(t)
			status := limited.Call(t, "STATUS", c, "CNI_CONTAINERID=", "CNI_IFNAME=", "CNI_NETNS=")
			unchanged(t, before)
			add := limited.Call(t, "ADD", c, "CNI_NETNS_OVERRIDE=1")
			if s.says == "" {
				if status.Status != 0 || add.Status != 0 {
					t.Errorf("STATUS: got %+v, ADD: %+v, want success of both", status, add)
				}
				return
			}
			status.WantError(t, "STATUS", 50, s.says)
			if e, err := add.Error(); add.Status != 1 || err != nil || !strings.Contains(e.Msg, s.says) {
				t.Errorf("ADD: got %+v (%v), want an error with %q", add, err, s.says)
			}
			if s.attr == nil && s.limits.Fail == nil && s.limits.Drop == nil { // else it fails after it made a directory
				unchanged(t, before)
			}
		})
	}
}
