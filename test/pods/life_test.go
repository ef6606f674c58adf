package pods

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// both removes the endpoint by DEL, and in another subtest by GC.
func both(t *testing.T, test func(t *testing.T, s sandbox, remove func(*testing.T))) {
	t.Helper()
	eachKernel(t, func(t *testing.T, s sandbox) { t.Helper(); test(t, s, s.del) })
	t.Run("GC", func(t *testing.T) {
		s := newSandbox(t)
		test(t, s, s.gc)
	})
}

// TestRemoved: whatever happened to the volume since ADD, DEL and GC leave nothing of
// it, and the maps go although another mount namespace has copies of the mounts.
func TestRemoved(t *testing.T) {
	for _, tt := range []struct {
		name    string
		prepare func(t *testing.T, s sandbox)
		stays   bool // something of the pod in the volume
	}{
		{"as it was", func(*testing.T, sandbox) {}, false},
		{"held by another mount namespace", func(t *testing.T, _ sandbox) { t.Helper(); hold(t) }, false},
		{"eth0 renamed", func(t *testing.T, s sandbox) {
			t.Helper()
			hold(t)
			testns.Must(t, os.Rename(s.at(""), filepath.Join(s.volume(), "theirs")))
		}, true},
		{"eth0 renamed, a link in its place", func(t *testing.T, s sandbox) {
			t.Helper()
			hold(t)
			testns.Must(t, os.Rename(s.at(""), filepath.Join(s.volume(), "theirs")))
			testns.Must(t, os.Symlink("/etc", filepath.Join(s.volume(), "eth0")))
		}, true},
		{"eth0 renamed, another one in its place", func(t *testing.T, s sandbox) {
			t.Helper()
			hold(t)
			testns.Must(t, os.Rename(s.at(""), filepath.Join(s.volume(), "theirs")))
			testns.Must(t, os.MkdirAll(s.at("maps/of/theirs"), 0o700))
		}, true},
		{"the volume renamed", func(t *testing.T, s sandbox) {
			t.Helper()
			hold(t)
			testns.Must(t, os.Rename(s.volume(), s.volume()+".deleting"))
		}, false},
		{"a mount moved", func(t *testing.T, s sandbox) {
			t.Helper()
			hold(t)
			testns.Must(t, os.Mkdir(filepath.Join(s.volume(), "theirs"), 0o700))
			testns.Must(t, unix.Mount(s.at("maps"), filepath.Join(s.volume(), "theirs"), "", unix.MS_MOVE, ""))
		}, true},
		{"unmounted", func(t *testing.T, s sandbox) {
			t.Helper()
			testns.Must(t, unix.Unmount(s.at("maps"), 0))
			testns.Must(t, unix.Unmount(s.at("maps-rw"), 0))
		}, false},
		{"unmounted and removed, as kubelet does", func(t *testing.T, s sandbox) {
			t.Helper()
			unmountBelow(t, s.volume())
			testns.Must(t, os.RemoveAll(filepath.Join(kubeletDir, "pods", s.uid)))
		}, false},
		{"removed from another mount namespace", removedElsewhere, false},
		{"made read-write", func(t *testing.T, s sandbox) {
			t.Helper()
			hold(t)
			testns.Must(t, unix.Mount("", s.at("maps"), "", unix.MS_REMOUNT, ""))
		}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			both(t, func(t *testing.T, s sandbox, remove func(*testing.T)) {
				t.Helper()
				s.add(t)
				ids := s.shownIDs(t)
				tt.prepare(t, s)
				remove(t)
				wantGone(t, ids...)
				if tt.stays {
					if got := mountsBelow(t, kubeletDir); got != nil {
						t.Errorf("still mounted: %q", got)
					}
					wantNoRecords(t)
					return
				}
				s.wantNothing(t)
				remove(t) // once more
				s.wantNothing(t)
			})
		})
	}
}

// removedElsewhere removes the directories in a mount namespace that lacks the mounts,
// which detaches them everywhere.
func removedElsewhere(t *testing.T, s sandbox) {
	t.Helper()
	cmd := testns.Command("remover", envVolume+"="+s.volume())
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("removing: %v: %s", err, out)
	}
}

// envVolume tells a remover where the volume is.
const envVolume = "BPFFS_TEST_VOLUME"

func remover(io.Writer) error {
	volume := os.Getenv(envVolume)
	for _, dir := range []string{"eth0/maps", "eth0/maps-rw"} {
		if err := unix.Unmount(filepath.Join(volume, dir), unix.MNT_DETACH); err != nil {
			return os.NewSyscallError("umount", err)
		}
	}
	return os.RemoveAll(filepath.Join(volume, "eth0"))
}

// TestDelOfNothing: a DEL without an ADD touches nothing in the volume.
func TestDelOfNothing(t *testing.T) {
	s := newSandbox(t)
	s.del(t)
	testns.Must(t, os.MkdirAll(s.at("maps/of/theirs"), 0o700))
	testns.Must(t, os.MkdirAll(s.at("maps-rw"), 0o700))
	s.del(t)
	s.gc(t)
	for _, dir := range []string{"maps/of/theirs", "maps-rw"} {
		if _, err := os.Stat(s.at(dir)); err != nil {
			t.Errorf("what was there before a DEL without an ADD: %v", err)
		}
	}
}

// TestDelWithoutTheKeys: DEL needs neither the UID of the pod nor the keys of the
// network, for some runtimes keep them from it.
func TestDelWithoutTheKeys(t *testing.T) {
	for name, conf := range map[string]keys{
		"no podVolume": {"podVolume": nil}, "another volume": {"podVolume": "other"}, "no maps": {"maps": nil},
		"another kubeletDir": {"kubeletDir": "/missing"}, "a wrong kubeletDir": {"kubeletDir": "relative"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSandbox(t)
			s.add(t)
			s.plugin.Succeed(t, "DEL", s.conf(conf), "CNI_ARGS=", "CNI_NETNS=")
			s.wantNothing(t)
		})
	}
}

// TestCovered: what hides a mount keeps the record, and the error says what to do.
func TestCovered(t *testing.T) {
	for name, over := range map[string]func(s sandbox) string{
		"the mount itself":           func(s sandbox) string { return s.at("maps") },
		"the directory of interface": func(s sandbox) string { return s.at("") },
		"the volume":                 func(s sandbox) string { return s.volume() },
		"the directory of kubelet":   func(sandbox) string { return kubeletDir },
	} {
		t.Run(name, func(t *testing.T) {
			eachKernel(t, func(t *testing.T, s sandbox) {
				t.Helper()
				s.add(t)
				id := mapID(t, s.pins(t)["policy_"])
				testns.Mount(t, "tmpfs", over(s), "")
				for _, verb := range []string{"DEL", "GC"} {
					s.fail(t, 108, verb, "mounted over "+s.at("maps"), "umount")
				}
				if m, err := ebpf.NewMapFromID(id); err != nil {
					t.Errorf("the map after a DEL that failed: %v", err)
				} else {
					m.Close()
				}
				testns.Must(t, unix.Unmount(over(s), unix.MNT_DETACH))
				s.del(t)
				s.wantNothing(t)
				wantGone(t, id)
			})
		})
	}
}

// TestSandboxMadeAgain: whatever the order of ADD and DEL of a pod's sandboxes, the
// pod sees the maps of the last, and then nothing is left.
func TestSandboxMadeAgain(t *testing.T) {
	for _, tt := range []struct{ name, calls string }{
		{"in order", "A1D1A2D2"},
		{"ADD before DEL", "A1A2D1D2"},
		{"the old one's DEL twice", "A1A2D1D1D2"},
		{"the old one's second DEL late", "A1D1A2D1D2"},
		{"the old one's DEL last", "A1A2D2D1"},
		{"three", "A1A2A3D1D2D1D3D2"},
		{"the first again", "A1A2A1D2D1"},
		{"ADD twice", "A1A1A2A2D1D1D2D2"},
	} {
		t.Run(tt.name, func(t *testing.T) { // one or two interfaces, on one network or two
			for _, networks := range [][]string{{"net"}, {"net", "net"}, {"net", "other"}} {
				eachKernel(t, func(t *testing.T, s sandbox) { t.Helper(); s.play(t, tt.calls, networks) })
			}
		})
	}
}

// play calls the verbs for an interface on each network, and wants to see the last
// sandbox that has an ADD and no DEL after that.
func (s sandbox) play(t *testing.T, calls string, networks []string) {
	t.Helper()
	shown := ""
	for len(calls) > 0 {
		var verb, number string
		if _, err := fmt.Sscanf(calls[:2], "%1s%1s", &verb, &number); err != nil {
			t.Fatal(err)
		}
		calls = calls[2:]
		if verb == "A" {
			shown = number
		} else if shown == number {
			shown = ""
		}
		for i, network := range networks {
			one := s.with(keys{"name": network})
			one.container, one.ifName = "c"+number, fmt.Sprint("eth", i)
			if verb == "A" {
				one.add(t)
				continue
			}
			one.del(t)
		}
		for i := range networks {
			one := s
			one.container, one.ifName = "c"+shown, fmt.Sprint("eth", i)
			if shown != "" {
				one.wantShown(t)
			} else if got := mountsBelow(t, one.volume()); got != nil {
				t.Errorf("without a sandbox, mounted is %q", got)
			}
		}
	}
	s.wantNothing(t)
}
