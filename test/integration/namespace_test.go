package integration

import (
	"strings"
	"syscall"
	"testing"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// TestOtherMountNamespace: the mount dies with the namespace, which is a warning
// to whoever caused it.
func TestOtherMountNamespace(t *testing.T) {
	const warning = "mount namespace other than that of process 1"
	elsewhere := &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	for _, tt := range []struct {
		name    string
		attr    *syscall.SysProcAttr
		mounted bool
		warns   bool
	}{
		{"that of process 1", nil, false, false},
		{"another", elsewhere, false, true},
		{"another, but mounted before", elsewhere, true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newNode(t)
			if tt.mounted {
				testns.Mount(t, "bpf", defaultRoot, "")
			}
			p.Attr = tt.attr
			a := p.Succeed(t, "ADD", conf(nil))
			if got := strings.Contains(a.Stderr, warning); got != tt.warns {
				t.Errorf("got the warnings %q, want one with %q: %v", a.Stderr, warning, tt.warns)
			}
		})
	}
}

// TestUnprivileged: without CAP_SYS_ADMIN there is nothing to mount.
func TestUnprivileged(t *testing.T) {
	p := newNode(t)
	p.Attr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	before := snapshot(t)
	p.Fail(t, 100, []string{"operation not permitted", defaultRoot, "CAP_SYS_ADMIN"}, "ADD", conf(nil))
	p.Fail(t, 50, []string{"operation not permitted", defaultRoot, "CAP_SYS_ADMIN"}, "STATUS", conf(nil))
	p.Succeed(t, "DEL", conf(nil))
	unchanged(t, before)
}
