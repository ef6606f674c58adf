package reliability

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
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

// envDetach carries the mount point that a detacher removes.
const envDetach = "BPFFS_TEST_DETACH"

// detacher is the role of the user nobody in namespaces of its own: it removes a
// mount point, which is none there, when it is told to.
func detacher(stdout io.Writer) error {
	if err := syscall.Mount("", "/", "", syscall.MS_PRIVATE|syscall.MS_REC, ""); err != nil {
		return os.NewSyscallError("mount", err)
	}
	fmt.Fprintln(stdout, "ready")
	testns.Await()
	return os.Remove(os.Getenv(envDetach))
}

// startDetacher starts a detacher of root, in a user and a mount namespace that an
// unprivileged user can make. detach lets it go, and returns what came of it.
func startDetacher(t *testing.T, root string) (detach func() error) {
	t.Helper()
	cmd := testns.Command("detacher", envDetach+"="+root)
	id := []syscall.SysProcIDMap{{ContainerID: nobody, HostID: nobody, Size: 1}}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS, UidMappings: id, GidMappings: id,
		Credential: &syscall.Credential{Uid: nobody, Gid: nobody, NoSetGroups: true}, AmbientCaps: []uintptr{unix.CAP_SYS_ADMIN},
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	stdin, err := cmd.StdinPipe()
	testns.Must(t, err)
	stdout, err := cmd.StdoutPipe()
	testns.Must(t, err)
	testns.Must(t, cmd.Start())
	if _, err := bufio.NewReader(stdout).ReadString('\n'); err != nil {
		t.Fatalf("waiting for the detacher: %v: %v: %s", err, cmd.Wait(), stderr.String())
	}
	return func() error {
		stdin.Close()
		err := cmd.Wait()
		if _, exited := errors.AsType[*exec.ExitError](err); exited {
			return errors.New(stderr.String())
		}
		return err
	}
}

// TestWayToTheRootIsTheAttack: the owner of the directory above a root takes the
// bpffs away from everybody, without a privilege. That is why no such root is used.
func TestWayToTheRootIsTheAttack(t *testing.T) {
	for _, tt := range []struct {
		name     string
		prepare  func(t *testing.T, root string)
		detaches bool
	}{
		{"root's directory", func(*testing.T, string) {}, false},
		{"the user's directory", func(t *testing.T, root string) {
			t.Helper()
			testns.Chown(t, filepath.Dir(root), nobody)
		}, true},
		{"a directory for everybody", func(t *testing.T, root string) {
			t.Helper()
			testns.Must(t, os.Chmod(filepath.Dir(root), 0o777))
		}, true},
		{"a sticky directory, and the user's mount point", func(t *testing.T, root string) {
			t.Helper()
			testns.Must(t, os.Chmod(filepath.Dir(root), 0o777|os.ModeSticky))
			testns.Chown(t, root, nobody)
		}, true},
		{"a sticky directory, and root's mount point", func(t *testing.T, root string) {
			t.Helper()
			testns.Must(t, os.Chmod(filepath.Dir(root), 0o777|os.ModeSticky))
		}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root := newRoot(t)
			testns.Must(t, os.Mkdir(root, 0o755))
			tt.prepare(t, root)
			detach := startDetacher(t, root)
			mountBPF(t, root, "mode=0700")
			err := detach()
			layers, lerr := node.Layers(root)
			testns.Must(t, lerr)
			if detached := len(layers) == 0; detached != tt.detaches || (err == nil) != tt.detaches {
				t.Errorf("rmdir from another mount namespace: got %v, mounted is %q; want it detached: %v", err, layers, tt.detaches)
			}
			add := call{verb: "STATUS", who: attachment{"net", "c", "eth0"}, root: root}
			node.Unmount(root)
			testns.Must(t, os.RemoveAll(root))
			if !tt.detaches {
				add.succeed(t)
			} else if !strings.HasSuffix(tt.name, "mount point") { // which is gone
				add.fail(t, 101, "unsafe directory", filepath.Dir(root))
			}
		})
	}
}

// A way is one on which an unprivileged user can change where a root leads.
type way struct {
	name string
	// prepare makes it below dir, a directory of root, and returns the root there.
	prepare func(t *testing.T, dir string) (root string)
	at      string // what the messages name, below dir
}

func mkdirs(t *testing.T, path string) string {
	t.Helper()
	testns.Must(t, os.MkdirAll(path, 0o755))
	return path
}

func ways() []way {
	return []way{
		{"a directory of the user", func(t *testing.T, dir string) string {
			t.Helper()
			testns.Chown(t, mkdirs(t, dir+"/u"), nobody)
			return dir + "/u/bpf"
		}, "u"},
		{"further up", func(t *testing.T, dir string) string {
			t.Helper()
			mkdirs(t, dir+"/u/a/b")
			testns.Chown(t, dir+"/u", nobody)
			return dir + "/u/a/b/bpf"
		}, "u"},
		{"for everybody", func(t *testing.T, dir string) string {
			t.Helper()
			testns.Must(t, os.Chmod(mkdirs(t, dir+"/all"), 0o777))
			return dir + "/all/bpf"
		}, "all"},
		{"for a group", func(t *testing.T, dir string) string {
			t.Helper()
			testns.Must(t, os.Chmod(mkdirs(t, dir+"/group"), 0o775))
			return dir + "/group/x/bpf"
		}, "group"},
		{"the user's directory in a sticky one", func(t *testing.T, dir string) string {
			t.Helper()
			mkdirs(t, dir+"/tmp/u")
			testns.Chown(t, dir+"/tmp/u", nobody)
			testns.Must(t, os.Chmod(dir+"/tmp", 0o777|os.ModeSticky))
			return dir + "/tmp/u/bpf"
		}, "tmp/u"},
		{"the user's mount point in a sticky directory", func(t *testing.T, dir string) string {
			t.Helper()
			mkdirs(t, dir+"/tmp/bpf")
			testns.Chown(t, dir+"/tmp/bpf", nobody)
			testns.Must(t, os.Chmod(dir+"/tmp", 0o777|os.ModeSticky))
			return dir + "/tmp/bpf"
		}, "tmp/bpf"},
		{"the user's sticky directory", func(t *testing.T, dir string) string {
			t.Helper()
			mkdirs(t, dir+"/tmp")
			testns.Chown(t, dir+"/tmp", nobody)
			testns.Must(t, os.Chmod(dir+"/tmp", 0o777|os.ModeSticky))
			return dir + "/tmp/bpf"
		}, "tmp"},
		{"a link of the user in a sticky directory", func(t *testing.T, dir string) string {
			t.Helper()
			mkdirs(t, dir+"/tmp")
			mkdirs(t, dir+"/safe")
			testns.Must(t, os.Symlink("../safe", dir+"/tmp/link"))
			testns.Chown(t, dir+"/tmp/link", nobody)
			testns.Must(t, os.Chmod(dir+"/tmp", 0o777|os.ModeSticky))
			return dir + "/tmp/link/bpf"
		}, "tmp/link"},
		{"a link of root through a directory of the user", func(t *testing.T, dir string) string {
			t.Helper()
			mkdirs(t, dir+"/safe/bpf")
			testns.Chown(t, mkdirs(t, dir+"/u"), nobody)
			testns.Must(t, os.Symlink(dir+"/safe", dir+"/u/inner"))
			testns.Must(t, os.Symlink(dir+"/u/inner/bpf", dir+"/twice"))
			return dir + "/twice"
		}, "u"},
		{"a link with dots after a directory of the user", func(t *testing.T, dir string) string {
			t.Helper()
			mkdirs(t, dir+"/u/sub")
			mkdirs(t, dir+"/safe")
			testns.Chown(t, dir+"/u", nobody)
			testns.Must(t, os.Symlink("u/sub/../../safe", dir+"/link"))
			return dir + "/link/bpf"
		}, "u"},
	}
}

// TestWayToTheRoot: a root that others can lead elsewhere or detach is refused before
// anything is made. What was made there before is still deleted, with a warning.
func TestWayToTheRoot(t *testing.T) {
	for _, tt := range ways() {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Dir(newRoot(t))
			root := tt.prepare(t, dir)
			at := filepath.Join(dir, tt.at)
			add := call{verb: "ADD", who: attachment{"net", "c", "eth0"}, root: root, maps: created}
			before := node.Identities(t, dir)
			add.fail(t, 101, "unsafe directory: "+at+" ", at)
			add.as("STATUS").fail(t, 101, "unsafe directory: "+at+" ")
			if diff := cmp.Diff(before, node.Identities(t, dir)); diff != "" {
				t.Errorf("ADD and STATUS changed something (-before +after):\n%s", diff)
			}
			mounts, err := node.BPFMounts()
			if testns.Must(t, err); strings.Contains(strings.Join(mounts, " "), dir) {
				t.Errorf("mounted: got %q, want nothing below %s", mounts, dir)
			}
		})
	}
}

// TestWayToTheRootBecomesUnsafe: pods of a root that was used before it was refused,
// or became unsafe later, can be deleted.
func TestWayToTheRootBecomesUnsafe(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(dir string) error
	}{
		{"of the user", func(dir string) error { return os.Chown(dir, nobody, nobody) }},
		{"for everybody", func(dir string) error { return os.Chmod(dir, 0o777) }},
		{"for the group", func(dir string) error { return os.Chmod(dir, 0o775) }},
	} {
		for _, verb := range []string{"DEL", "GC"} {
			t.Run(tt.name+", "+verb, func(t *testing.T) {
				root := newRoot(t)
				dir := filepath.Dir(root)
				add := call{verb: "ADD", who: attachment{"net", "c", "eth0"}, root: root, maps: created}
				result := add.succeed(t).Stdout
				testns.Must(t, tt.change(dir))
				before := readTree(t, root)
				add.fail(t, 101, "unsafe directory: "+dir)
				add.as("STATUS").fail(t, 101, "unsafe directory: "+dir)
				conf := plugintest.Conf(plugintest.Keys{
					"bpfRoot": root, "maps": json.RawMessage(created), "prevResult": json.RawMessage(result),
				})
				plugin().Fail(t, 101, []string{"unsafe directory: " + dir}, "CHECK", conf, add.env()...)
				if diff := cmp.Diff(before, readTree(t, root)); diff != "" {
					t.Errorf("ADD, CHECK and STATUS changed something (-before +after):\n%s", diff)
				}
				if a := add.as(verb).succeed(t); !plugintest.Contains(a.Stderr, "warning", "unsafe directory: "+dir) {
					t.Errorf("%s: got the warning %q, want one that names %s", verb, a.Stderr, dir)
				}
				node.NothingLeft(t, root)
			})
		}
	}
}

// TestWayToTheRootChangesMeanwhile: the mount is made on the directory that was
// looked at, whatever its path leads to when the kernel mounts.
func TestWayToTheRootChangesMeanwhile(t *testing.T) {
	for name, replace := range map[string]func(root, victim string) error{
		"a link":               func(root, victim string) error { return os.Symlink(victim, root) },
		"another directory":    func(root, victim string) error { return os.Rename(victim, root) },
		"a link to a link":     func(root, _ string) error { return os.Symlink("victim/../victim", root) },
		"nothing in its place": func(string, string) error { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			add := call{verb: "ADD", who: attachment{"net", "c", "eth0"}, root: newRoot(t), maps: created}
			moved, victim := filepath.Join(filepath.Dir(add.root), "moved"), filepath.Join(filepath.Dir(add.root), "victim")
			mkdirs(t, victim)
			t.Cleanup(func() { node.Unmount(moved); node.Unmount(victim) })
			_, _, a, err := trace.Run(add.command(), 1, func(nr uint64) bool { return nr == unix.SYS_MOVE_MOUNT }, func(int) error {
				return errors.Join(os.Rename(add.root, moved), replace(add.root, victim))
			})
			testns.Must(t, err)
			a.WantError(t, add.String(), 100, add.root)
			for path, want := range map[string]int{moved: 1, victim: 0, add.root: 0} {
				if layers, err := node.Layers(path); err != nil || len(layers) != want {
					t.Errorf("mounted at %s: got %q (%v), want %d", path, layers, err, want)
				}
			}
		})
	}
}
