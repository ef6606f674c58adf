package pods

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/cni-bpffs/cni-bpffs/internal/bpf"
	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/internal/token"
	"github.com/cni-bpffs/cni-bpffs/test/internal/node"
	"github.com/cni-bpffs/cni-bpffs/test/internal/plugintest"
)

// codeNetNS is that of a CNI_NETNS that cannot be used.
const codeNetNS = 8

// podRoot is the user of the node that is root in the user namespaces of pods.
const podRoot = 100_000

// delegates is what the network delegates to the pods of the namespace a.
func delegates() keys {
	return keys{"namespaces": []string{"a"}, "maps": []string{"array"}, "programs": []string{"socket_filter"}}
}

// withToken returns the sandbox of a pod that gets tokens, on a kernel that has them.
func (s sandbox) withToken(t *testing.T) sandbox {
	t.Helper()
	if err := token.CheckKernel(); err != nil {
		t.Skip(err)
	}
	s = s.with(keys{"delegate": delegates()})
	s.netns, s.token = netNS(t, syscall.CLONE_NEWUSER), true
	return s
}

// netNS returns the path of a network namespace, which with CLONE_NEWUSER belongs to a
// user namespace of its own.
func netNS(t *testing.T, newUser uintptr) string {
	t.Helper()
	path := filepath.Join(node.NetNSDir, fmt.Sprint("of-a-pod-", newUser))
	if _, err := os.Stat(path); err == nil {
		return path
	}
	cmd := testns.Command("pause")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if newUser != 0 {
		cmd.SysProcAttr = testns.UserNS(podRoot, syscall.CLONE_NEWNET)
	}
	stdin, err := cmd.StdinPipe()
	testns.Must(t, err)
	testns.Must(t, cmd.Start())
	testns.Must(t, os.WriteFile(path, nil, 0o600))
	testns.Bind(t, fmt.Sprintf("/proc/%d/ns/net", cmd.Process.Pid), path)
	testns.Must(t, errors.Join(stdin.Close(), cmd.Wait()))
	return path
}

// pause has its namespaces for as long as its standard input is open.
func pause(io.Writer) error {
	testns.Await()
	return nil
}

// asPod calls f with a path of the token's directory, as root of the pod.
func (s sandbox) asPod(t *testing.T, f func(dir string) error) {
	t.Helper()
	dir, err := os.Open(s.at("token"))
	testns.Must(t, err)
	defer dir.Close()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and the thread ends with the function
		err := errors.Join(unix.Setfsgid(podRoot), unix.Setfsuid(podRoot))
		if err == nil {
			err = f(fmt.Sprintf("/proc/self/fd/%d", dir.Fd()))
		}
		done <- err
	}()
	testns.Must(t, <-done)
}

// TestToken: which pod finds what in its volume.
func TestToken(t *testing.T) {
	const user = syscall.CLONE_NEWUSER
	none, some := []string{"maps", "maps-rw"}, []string{"maps-rw", "token"}
	for _, tt := range []struct {
		name, namespace string
		user            uintptr
		keys            keys
		want            []string
	}{
		{"a namespace that is delegated to", "a", user, nil, some},
		{"in the user namespace of the node", "a", 0, nil, none},
		{"another namespace", "b", user, nil, none},
		{"another namespace that begins alike", "ab", user, nil, none},
		{"no namespace", "", user, nil, none},
		{"nothing is delegated", "a", user, keys{"delegate": nil}, none},
		{"no map for pods", "a", user, keys{"maps": []keys{{"name": "calls_"}}}, []string{"token"}},
		{"maps to read only", "a", user, keys{"maps": shows()[1:]}, []string{"token"}},
		{"no maps at all", "a", user, keys{"maps": nil}, []string{"token"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSandbox(t).withToken(t).with(tt.keys)
			s.netns = netNS(t, tt.user)
			env := append(s.env(), fmt.Sprintf("CNI_ARGS=K8S_POD_NAMESPACE=%s;K8S_POD_NAME=b;K8S_POD_UID=%s", tt.namespace, s.uid))
			result := s.plugin.Succeed(t, "ADD", s.conf(nil), env...).Stdout
			if got := names(t, s.at("")); !cmp.Equal(got, tt.want) || len(mountsBelow(t, s.at(""))) != len(got) {
				t.Errorf("the pod sees %q, mounted are %q, want %q", got, mountsBelow(t, s.at("")), tt.want)
			}
			s.plugin.Succeed(t, "CHECK", s.withResult(result).conf(nil), env...)
			s.del(t)
			s.wantNothing(t)
		})
	}
}

// TestTokenFileSystem: the file system of a token is the pod's, and delegates what the
// configuration says.
func TestTokenFileSystem(t *testing.T) {
	s := newSandbox(t).withToken(t)
	s.add(t)
	var st unix.Stat_t
	testns.Must(t, unix.Stat(s.at("token"), &st))
	if st.Uid != podRoot || st.Gid != podRoot || st.Mode&0o777 != 0o755 {
		t.Errorf("token/ belongs to %d:%d and has the mode %o, want %d and 755", st.Uid, st.Gid, st.Mode&0o777, podRoot)
	}
	table, err := os.ReadFile("/proc/self/mountinfo")
	testns.Must(t, err)
	for line := range strings.Lines(string(table)) {
		if strings.Contains(line, s.at("token")) {
			for _, want := range []string{" rw,nosuid,nodev,noexec", "delegate_cmds=", "delegate_maps=", "delegate_progs=", "delegate_attachs="} {
				if !strings.Contains(line, want) {
					t.Errorf("token/ is mounted as %s, want %s", line, want)
				}
			}
		}
	}
	s.del(t)
	s.wantNothing(t)
}

// fill fills the directory as a pod can: with pins of one map, and directories in
// directories.
func fill(dir string, pins, deep int) error {
	first := filepath.Join(dir, "pin")
	if err := node.Pin(first); err != nil {
		return err
	}
	m, err := bpf.Open(first)
	if err != nil {
		return err
	}
	defer m.Close()
	for i := range pins {
		if err := bpf.Pin(m, fmt.Sprint(first, i)); err != nil {
			return err
		}
	}
	return os.MkdirAll(dir+strings.Repeat("/deeper", deep), 0o700)
}

// TestTokenFilled: whatever the pod has put there, DEL and GC end, and leave nothing.
// The maps go although another mount namespace has a copy of the mount.
func TestTokenFilled(t *testing.T) {
	for _, tt := range []struct {
		name       string
		pins, deep int
		left       bool // in the file system, until its last mount is gone
	}{
		{"nothing", 0, 0, false},
		{"pins", 100, 0, false},
		{"directories in directories", 10, 10, false},
		{"directories too deep", 10, 300, true},
		{"too many pins", 12_000, 0, true},
	} {
		for _, verb := range []string{"DEL", "GC"} {
			t.Run(tt.name+", "+verb, func(t *testing.T) {
				s := newSandbox(t).withToken(t)
				s.add(t)
				ids := s.shownIDs(t)
				s.asPod(t, func(dir string) error { return fill(dir, tt.pins, tt.deep) })
				ids = append(ids, mapID(t, s.at("token/pin")))
				dir, err := os.Open(s.at("token"))
				testns.Must(t, err)
				defer dir.Close()
				hold(t)
				if verb == "DEL" {
					s.del(t)
				} else {
					s.gc(t)
				}
				s.wantNothing(t)
				left, err := dir.Readdirnames(-1)
				testns.Must(t, err)
				left = slices.DeleteFunc(left, isDebug)
				if (len(left) > 0) != tt.left {
					t.Errorf("left in the file system: %d names, want some: %v", len(left), tt.left)
				}
				if !tt.left {
					wantGone(t, ids...)
				}
			})
		}
	}
}

// TestTokenCheck: CHECK misses a token.
func TestTokenCheck(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(t *testing.T, s sandbox)
		says string
	}{
		{"unmounted", func(t *testing.T, s sandbox) { t.Helper(); testns.Must(t, unix.Unmount(s.at("token"), 0)) }, "no longer mounted"},
		{"moved", func(t *testing.T, s sandbox) {
			t.Helper()
			testns.Must(t, os.Mkdir(s.at("theirs"), 0o700))
			testns.Must(t, unix.Mount(s.at("token"), s.at("theirs"), "", unix.MS_MOVE, ""))
		}, "token does not show"},
		{"covered", func(t *testing.T, s sandbox) { t.Helper(); testns.Mount(t, "tmpfs", s.at("token"), "") }, "mounted over"},
		{"not recorded", func(t *testing.T, _ sandbox) {
			t.Helper()
			links, err := filepath.Glob(root + "/cni/endpoints/*/pod-mounts/token")
			testns.Must(t, err)
			testns.Must(t, os.Remove(links[0]))
		}, "has nothing at"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSandbox(t).withToken(t)
			checked := s.withResult(s.add(t))
			checked.plugin.Succeed(t, "CHECK", checked.conf(nil), checked.env()...)
			tt.do(t, s)
			checked.fail(t, codeCheck, "CHECK", s.at("token"), tt.says)
		})
	}
}

// TestTokenAgain: a repeated ADD keeps the file system with what the pod has pinned,
// and a new sandbox gets a new one.
func TestTokenAgain(t *testing.T) {
	for _, tt := range []struct {
		name string
		next func(t *testing.T, s sandbox) sandbox
		kept bool
	}{
		{"the same sandbox", func(_ *testing.T, s sandbox) sandbox { return s }, true},
		{"with other maps", func(_ *testing.T, s sandbox) sandbox {
			return s.with(keys{"maps": append(shows(), keys{"name": "more_", "type": "array", "keySize": 4, "valueSize": 8, "maxEntries": 1})})
		}, true},
		{"with other types", func(_ *testing.T, s sandbox) sandbox {
			return s.with(keys{"delegate": keys{"namespaces": []string{"a"}, "maps": []string{"hash"}}})
		}, true},
		{"unmounted meanwhile", func(t *testing.T, s sandbox) sandbox {
			t.Helper()
			testns.Must(t, unix.Unmount(s.at("token"), 0))
			return s
		}, false},
		{"a new sandbox", func(_ *testing.T, s sandbox) sandbox { return next(s) }, false},
		{"a new sandbox after DEL", func(t *testing.T, s sandbox) sandbox { t.Helper(); s.del(t); return next(s) }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSandbox(t).withToken(t)
			s.add(t)
			before := s.mountIDs(t)["token"]
			s.asPod(t, func(dir string) error { return node.Pin(filepath.Join(dir, "theirs")) })
			id := mapID(t, s.at("token/theirs"))
			after := tt.next(t, s)
			after.add(t)
			kept := after.mountIDs(t)["token"] == before
			_, err := os.Stat(s.at("token/theirs"))
			if kept != tt.kept || tt.kept != (err == nil) || err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the mount is the one of before: %v, with the pin: %v; want %v", kept, err, tt.kept)
			}
			s.del(t)
			after.del(t)
			s.wantNothing(t)
			wantGone(t, id)
		})
	}
}

// TestTokenRefused: why a pod gets no token, and what is left of the attempt.
func TestTokenRefused(t *testing.T) {
	fails := func(call uint32, errno unix.Errno) plugintest.Limits {
		return plugintest.Limits{Fail: map[uint32]unix.Errno{call: errno}}
	}
	for _, tt := range []struct {
		name   string
		limits plugintest.Limits
		says   []string
	}{
		{"a kernel without tokens", plugintest.WithoutTokens(), []string{"the kernel has no BPF tokens", "Linux 6.9", "remove delegate"}},
		{"no way into the user namespace", fails(unix.SYS_SETNS, unix.EPERM), []string{"setns", "not permitted", "needs root"}},
		{"no more mount namespaces", fails(unix.SYS_UNSHARE, unix.ENOSPC), []string{"unshare", "no space left", "max_mnt_namespaces"}},
		{"no root in the user namespace", fails(unix.SYS_SETRESUID, unix.EINVAL), []string{"setresuid", "must map user 0"}},
		{"no file system", fails(unix.SYS_FSOPEN, unix.EPERM), []string{"fsopen", "not permitted"}},
		{"no options", fails(unix.SYS_FSCONFIG, unix.EPERM), []string{"delegate_cmds", "not permitted"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSandbox(t).withToken(t)
			testns.Must(t, os.MkdirAll(root, 0o755))
			testns.Mount(t, "bpf", root, "mode=0700")
			limited, err := s.plugin.Within(tt.limits)
			testns.Must(t, err)
			whole := s.plugin
			s.plugin = limited
			s.fail(t, codePodVolume, "ADD", tt.says...)
			s.plugin = whole
			s.wantNothing(t)
			s.del(t)
		})
	}
}

// TestTokenNetNS: what CNI_NETNS must be for a pod that gets tokens.
func TestTokenNetNS(t *testing.T) {
	testns.Need(t)
	for path, says := range map[string]string{
		"/proc/self/ns/mnt": "namespace", "/proc/self/status": "namespace", "/run": "namespace", "/run/netns/gone": "no such file",
	} {
		t.Run(path, func(t *testing.T) {
			s := newSandbox(t).withToken(t)
			s.netns = path
			s.fail(t, codeNetNS, "ADD", "CNI_NETNS", path, says)
			s.wantNothing(t)
			s.del(t)
		})
	}
}

// TestTokenStatus: a kernel without tokens is a warning of STATUS, for most pods can
// start.
func TestTokenStatus(t *testing.T) {
	const warning = "a pod that gets tokens cannot start: the kernel has no BPF tokens"
	for _, tt := range []struct {
		name   string
		limits plugintest.Limits
		keys   keys
		warns  bool
	}{
		{"this kernel", plugintest.Limits{}, keys{"delegate": delegates()}, token.CheckKernel() != nil},
		{"this kernel, nothing delegated", plugintest.Limits{}, nil, false},
		{"a kernel without tokens", plugintest.WithoutTokens(), keys{"delegate": delegates()}, true},
		{"a kernel without tokens, nothing delegated", plugintest.WithoutTokens(), nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSandbox(t).with(tt.keys)
			limited, err := s.plugin.Within(tt.limits)
			testns.Must(t, err)
			a := limited.Succeed(t, "STATUS", s.conf(nil), s.env()...)
			if got := strings.Contains(a.Stderr, warning); got != tt.warns {
				t.Errorf("STATUS printed %q, want the warning: %v", a.Stderr, tt.warns)
			}
		})
	}
}
