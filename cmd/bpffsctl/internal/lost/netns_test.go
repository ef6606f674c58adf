package lost

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/moby/sys/mountinfo"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/inventory"
	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

func TestNameOf(t *testing.T) {
	for path, want := range map[string]string{
		"/run/netns/cni-1":         "cni-1",
		"/var/run/netns/cni-1":     "cni-1",
		"/run/netns/..a":           "..a",
		"":                         "",
		"/run/netns":               "",
		"/run/netns/":              "",
		"/run/netns/.":             "",
		"/run/netns/..":            "",
		"/run/netns/a/b":           "",
		"/run/netns//a":            "",
		"/run/netns/../netns/a":    "",
		"/run/./netns/a":           "",
		"run/netns/a":              "",
		"/run/netns2/a":            "",
		"/run/docker/netns/a":      "",
		"/run/user/1000/netns/a":   "",
		"/proc/4711/ns/net":        "",
		"/host/run/netns/a":        "",
		"/var/run/../run/netns/a":  "",
		"/var/lib/run/netns/cni-1": "",
	} {
		if got := nameOf(path); got != want {
			t.Errorf("nameOf(%q): got %q, want %q", path, got, want)
		}
	}
}

// A machine is a node whose /run is that of the test, and a container on it.
type machine struct {
	node string // where the container has the node's directories
}

// netns is where the container has the node's network namespaces.
func (m machine) netns() string { return m.node + namespaces }

// newMachine returns one whose container has no mount of the node yet.
func newMachine(t *testing.T) machine {
	t.Helper()
	m := machine{t.TempDir()}
	testns.Mount(t, "tmpfs", "/run", "mode=0755")
	propagate(t, "/run", syscall.MS_SHARED)
	testns.Must(t, os.Mkdir(namespaces, 0o755))
	testns.Must(t, os.MkdirAll(m.netns(), 0o755))
	return m
}

// mount gives the container the directory of the node, as HostToContainer does.
func (m machine) mount(t *testing.T) {
	t.Helper()
	testns.Bind(t, namespaces, m.netns())
	propagate(t, m.netns(), syscall.MS_SLAVE)
}

func propagate(t *testing.T, path string, how uintptr) {
	t.Helper()
	testns.Must(t, syscall.Mount("", path, "", how, ""))
}

// pod makes a network namespace on the node, until the test ends or it is ended.
func (m machine) pod(t *testing.T, name string) (end func()) {
	t.Helper()
	path := filepath.Join(namespaces, name)
	testns.Must(t, os.WriteFile(path, nil, 0o600))
	testns.Bind(t, "/proc/self/ns/net", path)
	return func() {
		testns.Must(t, syscall.Unmount(path, syscall.MNT_DETACH))
		testns.Must(t, os.Remove(path))
	}
}

// recordAt returns what is recorded of a network namespace in the node's directory.
func recordAt(t *testing.T, path string) inventory.Record {
	t.Helper()
	fi, err := os.Stat(namespaces)
	testns.Must(t, err)
	return inventory.Record{Endpoint: bpffs.Endpoint{Details: bpffs.Details{NetNS: path}, NetNSIn: bpffs.DirIDOf(fi)}}
}

// Only the node's own directory is believed, for in any other all is missing.
func TestOtherDirectory(t *testing.T) {
	for _, tt := range []struct {
		name string
		make func(t *testing.T, m machine)
		want finding
	}{
		{"HostToContainer", func(t *testing.T, m machine) { t.Helper(); m.mount(t) }, gone},
		{"mounted once more on the node", func(t *testing.T, m machine) {
			t.Helper()
			m.mount(t)
			testns.Bind(t, namespaces, namespaces)
		}, gone},
		{"a directory of the image", func(*testing.T, machine) {}, elsewhere},
		{"all of /run", func(t *testing.T, m machine) { t.Helper(); testns.Bind(t, "/run", m.node+"/run") }, gone},
		{"/run in its place", func(t *testing.T, m machine) { t.Helper(); testns.Bind(t, "/run", m.netns()) }, elsewhere},
		{"a volume of that name", func(t *testing.T, m machine) {
			t.Helper()
			testns.Must(t, os.MkdirAll("/run/volumes/netns", 0o755))
			testns.Bind(t, "/run/volumes/netns", m.netns())
		}, elsewhere},
		{"another node's", func(t *testing.T, m machine) {
			t.Helper()
			testns.Mount(t, "tmpfs", m.node+"/run", "")
			testns.Must(t, os.Mkdir(m.netns(), 0o755))
		}, elsewhere},
		{"another file system over it", func(t *testing.T, m machine) {
			t.Helper()
			m.mount(t)
			testns.Mount(t, "tmpfs", m.netns(), "")
		}, elsewhere},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newMachine(t)
			r := recordAt(t, namespaces+"/ended")
			tt.make(t, m)
			d, err := openDirectory(m.node)
			testns.Must(t, err)
			defer d.Close()
			if got := d.look(r); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
			r.NetNSIn = ""
			if got := d.look(r); got != elsewhere {
				t.Errorf("recorded by an older version: got %v, want %v", got, elsewhere)
			}
		})
	}
}

// Only that there is nothing at all is gone.
func TestFinding(t *testing.T) {
	m := newMachine(t)
	m.mount(t)
	m.pod(t, "runs")
	m.pod(t, "ended")()
	testns.Must(t, os.WriteFile(namespaces+"/left", nil, 0o600))
	testns.Must(t, os.Symlink("/nothing", namespaces+"/link"))
	testns.Must(t, os.Symlink("loop", namespaces+"/loop"))
	testns.Must(t, os.Symlink("none", namespaces+"/dangling"))
	testns.Must(t, os.Mkdir(namespaces+"/dir", 0o700))
	want := map[string]finding{
		"/run/netns/ended":                          gone,
		"/var/run/netns/ended":                      gone,
		"/run/netns/runs":                           unknown,
		"/run/netns/left":                           unknown, // a file, unmounted
		"/run/netns/link":                           unknown,
		"/run/netns/loop":                           unknown,
		"/run/netns/dangling":                       unknown,
		"/run/netns/dir":                            unknown,
		"/run/netns/" + strings.Repeat("long", 100): unknown, // ENAMETOOLONG
		"/run/netns/runs/ended":                     unknown,
		"/run/other/ended":                          unknown,
		"/proc/1073741823/ns/net":                   unknown,
		"":                                          unknown,
	}
	for _, node := range []string{m.node, "/"} {
		d, err := openDirectory(node)
		testns.Must(t, err)
		defer d.Close()
		for path, want := range want {
			r := recordAt(t, path)
			if got := d.look(r); got != want {
				t.Errorf("%s below %s: got %v, want %v", path, node, got, want)
			}
			r.Err = os.ErrInvalid
			if got := d.look(r); got != unknown {
				t.Errorf("%s below %s, of a record that cannot be read: got %v, want %v", path, node, got, unknown)
			}
		}
	}
}

// What the node unmounts is unmounted in the container, too, which else would keep the
// network namespaces of pods that have ended.
func TestUnmountedInTheContainer(t *testing.T) {
	m := newMachine(t)
	m.mount(t)
	end := m.pod(t, "ended")
	mounted := func() int {
		t.Helper()
		found, err := mountinfo.GetMounts(mountinfo.SingleEntryFilter(m.netns() + "/ended"))
		testns.Must(t, err)
		return len(found)
	}
	if got := mounted(); got != 1 {
		t.Fatalf("mounts in the container: got %d, want that of the pod", got)
	}
	end()
	if got := mounted(); got != 0 {
		t.Errorf("mounts in the container after the pod: got %d, want none", got)
	}
}
