package places

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/testadd"
	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

func TestMain(m *testing.M) {
	os.Exit(testns.Main(m))
}

// used returns a bpffs with an endpoint, in a directory of its own.
func used(t *testing.T) (root string) {
	t.Helper()
	testns.Need(t)
	root = filepath.Join(t.TempDir(), "bpf")
	testns.Must(t, os.Mkdir(root, 0o700))
	testns.Mount(t, "bpf", root, "mode=0700")
	_, err := testadd.Add(t.Context(), root, bpffs.Attachment{Network: "net", ContainerID: "c", IfName: "eth0"}, bpffs.Details{})
	testns.Must(t, err)
	return root
}

func plugin(root string) string {
	return fmt.Sprintf(`{"type": "bpffs", "bpfRoot": %q, "mapPrefix": "a/b", "maps": [{"name": "policy_"}]}`, root)
}

func listOf(plugins string) string {
	return `{"cniVersion": "1.0.0", "name": "net", "plugins": [{"type": "bridge"}` + plugins + `]}`
}

// want reports if other roots are found than these.
func want(t *testing.T, w Where, roots ...string) {
	t.Helper()
	got, err := Roots(Find(w))
	slices.Sort(got)
	slices.Sort(roots)
	if diff := cmp.Diff(roots, got); diff != "" || err != nil {
		t.Errorf("roots: error %v (-want +got):\n%s", err, diff)
	}
}

// What is not mounted yet is found by its configuration, what is mounted by the mount
// table, and each once.
func TestConfigured(t *testing.T) {
	for _, row := range []struct {
		name  string
		files func(root string) map[string]string
		named bool
	}{
		{"in a list", func(root string) map[string]string {
			return map[string]string{"10.conflist": listOf("," + plugin(root))}
		}, true},
		{"called twice", func(root string) map[string]string {
			return map[string]string{"10.conflist": listOf("," + plugin(root) + "," + plugin(root))}
		}, true},
		{"in a drop-in file", func(root string) map[string]string {
			return map[string]string{"10.conflist": listOf(""), "net/bpffs.conf": plugin(root)}
		}, true},
		{"in a drop-in file of no network", func(root string) map[string]string {
			return map[string]string{"other/bpffs.conf": plugin(root)}
		}, true},
		{"in no place", func(string) map[string]string { return nil }, false},
		{"in half a file", func(root string) map[string]string {
			return map[string]string{"10.conflist": listOf("," + plugin(root))[:60]}
		}, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			root := used(t)
			w := Where{ConfDir: testns.Files(t, row.files(root))}
			first := Find(w)[0]
			if named := first.Roots.Root == root && first.Prefix == "a/b" && slices.Contains(first.Names, "policy_"); named != row.named {
				t.Errorf("the first place: got %+v, want the configured one: %v", first, row.named)
			}
			want(t, w, root)
		})
	}
}

// Of what no configuration names only a bpffs with records of the plugin counts.
func TestMountTable(t *testing.T) {
	for _, row := range []struct {
		name  string
		make  func(t *testing.T, root string)
		found bool
	}{
		{"with records", func(*testing.T, string) {}, true},
		{"with records, bound elsewhere, too", func(t *testing.T, root string) {
			t.Helper()
			testns.Bind(t, root, t.TempDir())
		}, true},
		{"with records of a later version", func(t *testing.T, root string) {
			t.Helper()
			testns.Must(t, os.Rename(root+"/cni/layout-1", root+"/cni/layout-2"))
		}, true},
		{"with a name that has a space", func(t *testing.T, root string) {
			t.Helper()
			testns.Must(t, os.Rename(filepath.Dir(root), filepath.Dir(root)+" x"))
			t.Cleanup(func() { testns.Must(t, os.Rename(filepath.Dir(root)+" x", filepath.Dir(root))) })
		}, true},
		{"without records", func(t *testing.T, root string) {
			t.Helper()
			testns.Must(t, os.Rename(root+"/cni", root+"/other"))
		}, false},
		{"with a directory of another's", func(t *testing.T, root string) {
			t.Helper()
			testns.Chown(t, root+"/cni", 4321)
		}, false},
		{"with a directory that is not ours", func(t *testing.T, root string) {
			t.Helper()
			testns.Must(t, os.Rename(root+"/cni/layout-1", root+"/cni/x"))
		}, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			row.make(t, used(t))
			got, err := Roots(Find(Where{}))
			if len(got) > 0 != row.found || len(got) > 1 || err != nil {
				t.Errorf("got %q, %v, want the bpffs: %v", got, err, row.found)
			}
		})
	}
}

// A root that is given is the only place.
func TestOnlyRoot(t *testing.T) {
	root := used(t)
	other := used(t)
	conf := testns.Files(t, map[string]string{"10.conflist": listOf("," + plugin(other))})
	want(t, Where{Roots: bpffs.Roots{Root: root}, ConfDir: conf}, root)
	want(t, Where{Roots: bpffs.Roots{Root: t.TempDir()}, ConfDir: conf})
	want(t, Where{Roots: bpffs.Roots{Fallback: root}, ConfDir: conf}, root, other)
	want(t, Where{ConfDir: conf}, root, other)
}

// What hides a bpffs hides endpoints, until it is unmounted.
func TestHidden(t *testing.T) {
	for _, row := range []struct {
		name string
		hide func(t *testing.T, root string) (mounted string)
		want error
	}{
		{"a tmpfs over it", func(t *testing.T, root string) string {
			t.Helper()
			testns.Mount(t, "tmpfs", root, "")
			return root
		}, bpffs.ErrStacked},
		{"a second bpffs", func(t *testing.T, root string) string {
			t.Helper()
			testns.Mount(t, "bpf", root, "mode=0700")
			return root
		}, bpffs.ErrStacked},
		{"a directory that is bound over it", func(t *testing.T, root string) string {
			t.Helper()
			testns.Bind(t, t.TempDir(), root)
			return root
		}, bpffs.ErrStacked},
		{"a tmpfs over the directory above", func(t *testing.T, root string) string {
			t.Helper()
			testns.Mount(t, "tmpfs", filepath.Dir(root), "")
			return filepath.Dir(root)
		}, ErrHidden},
		{"another bpffs below a tmpfs over the directory above", func(t *testing.T, root string) string {
			t.Helper()
			testns.Mount(t, "tmpfs", filepath.Dir(root), "")
			testns.Must(t, os.Mkdir(root, 0o700))
			testns.Must(t, syscall.Mount("bpf", root, "bpf", 0, "mode=0700"))
			return filepath.Dir(root)
		}, ErrHidden},
	} {
		for _, configured := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, configured: %v", row.name, configured), func(t *testing.T) {
				root := used(t)
				w := Where{}
				if configured {
					w.ConfDir = testns.Files(t, map[string]string{"10.conflist": listOf("," + plugin(root))})
				}
				want(t, w, root)
				over := row.hide(t, root)
				_, err := Roots(Find(w))
				if err == nil || configured && !errors.Is(err, row.want) || !errors.Is(err, row.want) && !errors.Is(err, ErrHidden) {
					t.Errorf("hidden: got %v, want %v", err, row.want)
				}
				testns.Must(t, syscall.Unmount(over, syscall.MNT_DETACH))
				want(t, w, root)
			})
		}
	}
}

// What pods see in their volumes has no endpoints, so that nothing hides them there.
func TestVolumesOfPods(t *testing.T) {
	for _, over := range []string{"eth0/maps", "eth0", "."} {
		root := used(t)
		v := testadd.Volume{KubeletDir: t.TempDir(), UID: "0a1b-2c"}
		m := bpffs.MapDecl{Name: "policy_", Pod: bpffs.PodReads, Spec: bpffs.MapSpec{Type: unix.BPF_MAP_TYPE_ARRAY, KeySize: 4, ValueSize: 4, MaxEntries: 1}}
		id, err := testadd.Add(t.Context(), root, bpffs.Attachment{Network: "net", ContainerID: "d", IfName: "eth0"}, bpffs.Details{}, m)
		testns.Must(t, err)
		testns.Must(t, v.Show(t.Context(), root, id, m))
		want(t, Where{}, root)
		testns.Mount(t, "tmpfs", filepath.Join(v.Path(), over), "")
		want(t, Where{}, root)
		testns.Must(t, syscall.Unmount(filepath.Join(v.Path(), over), syscall.MNT_DETACH))
		testns.Must(t, syscall.Unmount(v.Path()+"/eth0/maps", syscall.MNT_DETACH))
		testns.Must(t, syscall.Unmount(root, syscall.MNT_DETACH))
	}
}

// Where the look fails nothing is taken for absent.
func TestUnknown(t *testing.T) {
	root := used(t)
	only := Where{Roots: bpffs.Roots{Root: root}}
	var limit syscall.Rlimit
	testns.Must(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	few := syscall.Rlimit{Cur: 3, Max: limit.Max} // all open already
	testns.Must(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &few))
	_, errAll := Roots(Find(Where{}))
	testns.Must(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit))
	if errAll == nil {
		t.Error("without files to open: got no error")
	}
	testns.Mount(t, "tmpfs", "/proc", "")
	if got, err := Roots(Find(Where{})); err == nil || errors.Is(err, os.ErrNotExist) {
		t.Errorf("without /proc: got %q, %v, want an error that does not say that something is absent", got, err)
	}
	want(t, only, root)
}

// What releases endpoints by itself looks where configurations say, and no further; in
// a container below the directory where that has the node's.
func TestNamed(t *testing.T) {
	testns.Need(t)
	node := t.TempDir()
	for _, root := range []string{"/own", "/other", bpffs.DefaultRoot, "/fallback", "/empty"} {
		testns.Must(t, os.MkdirAll(node+root, 0o755))
	}
	for _, root := range []string{"/own", "/other", bpffs.DefaultRoot} {
		testns.Mount(t, "bpf", node+root, "mode=0700")
	}
	testns.Must(t, os.Symlink(node+"/own", node+"/link"))
	for name, row := range map[string]struct {
		plugins string
		want    []string
		err     string
	}{
		"none":                  {"", []string{bpffs.DefaultRoot}, ""},
		"a root of its own":     {`, {"type": "bpffs", "bpfRoot": "/own"}`, []string{"/own", bpffs.DefaultRoot}, ""},
		"twice":                 {`, {"type": "bpffs", "bpfRoot": "/own"}, {"type": "bpffs", "bpfRoot": "/link"}`, []string{"/own", bpffs.DefaultRoot}, ""},
		"not mounted yet":       {`, {"type": "bpffs", "bpfRoot": "/empty"}`, []string{bpffs.DefaultRoot}, ""},
		"not in this container": {`, {"type": "bpffs", "bpfRoot": "/absent"}`, []string{bpffs.DefaultRoot}, "mount the node's /absent there"},
	} {
		got, err := Named(testns.Files(t, map[string]string{"10.conflist": listOf(row.plugins)}), node)
		for i := range row.want {
			row.want[i] = node + row.want[i]
		}
		if diff := cmp.Diff(row.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if (err == nil) != (row.err == "") || err != nil && !strings.Contains(err.Error(), row.err) {
			t.Errorf("%s: got the error %v, want %q", name, err, row.err)
		}
	}
}
