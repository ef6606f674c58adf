package lost

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
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

// A machine is a node as a container of the DaemonSet sees it.
type machine struct {
	run  string // the node's /run
	node string // where the container has its directories
}

// netns is where the container has the node's network namespaces.
func (m machine) netns() string { return m.node + namespaces }

// newMachine returns one whose container has no mount of the node yet.
func newMachine(t *testing.T) machine {
	t.Helper()
	testns.Need(t)
	m := machine{t.TempDir(), t.TempDir()}
	testns.Mount(t, "tmpfs", m.run, "mode=0755")
	propagate(t, m.run, syscall.MS_SHARED)
	testns.Must(t, os.Mkdir(m.run+"/netns", 0o755))
	testns.Must(t, os.MkdirAll(m.netns(), 0o755))
	return m
}

// mount gives the container the directory of the node, as HostToContainer does.
func (m machine) mount(t *testing.T) {
	t.Helper()
	testns.Bind(t, m.run+"/netns", m.netns())
	propagate(t, m.netns(), syscall.MS_SLAVE)
}

func propagate(t *testing.T, path string, how uintptr) {
	t.Helper()
	testns.Must(t, syscall.Mount("", path, "", how, ""))
}

// pod makes a network namespace on the node, until the test ends or it is ended.
func (m machine) pod(t *testing.T, name string) (end func()) {
	t.Helper()
	path := filepath.Join(m.run, "netns", name)
	testns.Must(t, os.WriteFile(path, nil, 0o600))
	testns.Bind(t, "/proc/self/ns/net", path)
	return func() {
		testns.Must(t, syscall.Unmount(path, syscall.MNT_DETACH))
		testns.Must(t, os.Remove(path))
	}
}

// Only the node's own directory is believed, for in any other all is gone.
func TestOpenDirectory(t *testing.T) {
	for _, tt := range []struct {
		name string
		make func(t *testing.T, m machine)
		why  string // empty: it is believed
	}{
		{"HostToContainer", func(t *testing.T, m machine) { t.Helper(); m.mount(t) }, ""},
		{"mounted once more on the node", func(t *testing.T, m machine) {
			t.Helper()
			m.mount(t)
			testns.Bind(t, m.run+"/netns", m.run+"/netns")
		}, ""},
		{"a directory of the image", func(*testing.T, machine) {}, "not a mount of its own"},
		{"missing", func(t *testing.T, m machine) { t.Helper(); testns.Must(t, os.Remove(m.netns())) }, "no such file"},
		{"without propagation", func(t *testing.T, m machine) {
			t.Helper()
			m.mount(t)
			propagate(t, m.netns(), syscall.MS_PRIVATE)
		}, "does not get what is mounted on the node"},
		{"shared, but no slave", func(t *testing.T, m machine) {
			t.Helper()
			testns.Bind(t, m.run+"/netns", m.netns())
		}, "does not get what is mounted on the node"},
		{"all of /run", func(t *testing.T, m machine) {
			t.Helper()
			testns.Bind(t, m.run, m.node+"/run")
			propagate(t, m.node+"/run", syscall.MS_SLAVE)
		}, "not a mount of its own"},
		{"/run in its place", func(t *testing.T, m machine) {
			t.Helper()
			testns.Bind(t, m.run, m.netns())
			propagate(t, m.netns(), syscall.MS_SLAVE)
		}, "shows the directory / of a tmpfs"},
		{"a volume of that name", func(t *testing.T, m machine) {
			t.Helper()
			testns.Must(t, os.MkdirAll(m.run+"/volumes/netns", 0o755))
			testns.Bind(t, m.run+"/volumes/netns", m.netns())
			propagate(t, m.netns(), syscall.MS_SLAVE)
		}, "shows the directory /volumes/netns of a tmpfs"},
		{"renamed on the node, and made again", func(t *testing.T, m machine) {
			t.Helper()
			m.mount(t)
			testns.Must(t, os.Rename(m.run+"/netns", m.run+"/old"))
			testns.Must(t, os.Mkdir(m.run+"/netns", 0o755))
		}, "shows the directory /old of a tmpfs"},
		{"removed on the node, and made again", func(t *testing.T, m machine) {
			t.Helper()
			m.mount(t)
			testns.Must(t, os.Remove(m.run+"/netns"))
			testns.Must(t, os.Mkdir(m.run+"/netns", 0o755))
		}, "shows the directory /netns//deleted of a tmpfs"},
		{"another file system over it", func(t *testing.T, m machine) {
			t.Helper()
			m.mount(t)
			testns.Mount(t, "tmpfs", m.netns(), "")
		}, "does not get what is mounted on the node"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newMachine(t)
			tt.make(t, m)
			d, err := openDirectory(m.node)
			if err == nil {
				defer d.Close()
			}
			if (err == nil) != (tt.why == "") || err != nil && !strings.Contains(err.Error(), tt.why) {
				t.Errorf("got %v, want %q", err, tt.why)
			}
		})
	}
}

// Outside of the node's own process and mount namespaces, its directories are not where
// this process sees them.
func TestOpenDirectoryNotOnNode(t *testing.T) {
	testns.Need(t)
	_, err := openDirectory("/")
	if err == nil || !strings.Contains(err.Error(), "not in the namespaces of process 1") && !strings.Contains(err.Error(), "no such file") {
		t.Errorf("got %v, want that it is not", err)
	}
}

// Only that there is nothing at all is gone.
func TestIsGone(t *testing.T) {
	m := newMachine(t)
	m.mount(t)
	m.pod(t, "runs")
	m.pod(t, "ended")()
	testns.Must(t, os.WriteFile(m.run+"/netns/left", nil, 0o600))
	testns.Must(t, os.Symlink("/nothing", m.run+"/netns/link"))
	testns.Must(t, os.Symlink("loop", m.run+"/netns/loop"))
	testns.Must(t, os.Mkdir(m.run+"/netns/dir", 0o700))
	d, err := openDirectory(m.node)
	testns.Must(t, err)
	defer d.Close()
	for path, want := range map[string]bool{
		"/run/netns/ended":                          true,
		"/var/run/netns/ended":                      true,
		"/run/netns/runs":                           false,
		"/run/netns/left":                           false, // a file, unmounted
		"/run/netns/link":                           false,
		"/run/netns/loop":                           false,
		"/run/netns/dir":                            false,
		"/run/netns/" + strings.Repeat("long", 100): false, // ENAMETOOLONG
		"/run/netns/runs/ended":                     false,
		"/run/other/ended":                          false,
		"/proc/1073741823/ns/net":                   false,
		"":                                          false,
	} {
		if got := d.isGone(path); got != want {
			t.Errorf("isGone(%.40q): got %v, want %v", path, got, want)
		}
	}
}
