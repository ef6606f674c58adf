package pods

import (
	"syscall"
	"testing"
)

// TestOtherMountNamespace: where the mounts of an endpoint cannot be seen they are not
// taken for gone. The verb that says so changes nothing.
func TestOtherMountNamespace(t *testing.T) {
	for _, verb := range []string{"DEL", "GC", "CHECK"} {
		t.Run(verb, func(t *testing.T) {
			eachKernel(t, func(t *testing.T, s sandbox) {
				t.Helper()
				here := s.withResult(s.add(t))
				there := here
				there.plugin.Attr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
				code := uint(108)
				if verb == "CHECK" {
					code = codePodVolume // it is not known whether anything differs
				}
				there.fail(t, code, verb, "it was mounted in the mount namespace of process ", "nsenter --target ")
				here.wantShown(t)
				here.del(t)
				here.wantNothing(t)
			})
		})
	}
}
