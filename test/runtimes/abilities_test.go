package runtimes

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// useBPF returns what a container's attempts come to. The map is somebody else's.
func (c *containerd) useBPF(t *testing.T, container string, others uint32) map[string]string {
	t.Helper()
	out, ok := c.exec(t, container, "/pod", "bpf", fmt.Sprint(others))
	outcomes := make(map[string]string)
	if err := json.Unmarshal([]byte(out), &outcomes); err != nil || !ok {
		t.Fatalf("using BPF in a container: got %s (%v)", out, err)
	}
	return outcomes
}

// What a container sees and can do.
type abilities struct {
	limit    uint64 // in the map that its pod may read
	token    bool   // its pod gets tokens, and no maps to read
	loads    bool   // it can make a token
	attaches bool   // and attach programs to its interface
	admin    bool   // it has CAP_SYS_ADMIN in its user namespace
	unlocked bool   // which has the runtime's mounts as its own
}

// want returns how each of the attempts in tried must end.
func (s abilities) want(tried map[string]string) map[string]string {
	want := make(map[string]string)
	for what := range tried {
		want[what] = "EPERM"
	}
	set := func(outcome string, attempts ...string) {
		for _, what := range attempts {
			want[what] = outcome
		}
	}
	set("EROFS", "unlink in maps-rw", "make a directory in maps-rw", "change the mode in maps-rw", "pin in maps-rw")
	set("done", "read in maps-rw", "write in maps-rw")
	if s.admin {
		set("EINVAL", "unmount maps-rw")
		set("ENOENT", "delegate more") // there is no token
	}
	if s.unlocked { // then the file system itself refuses
		set("done", "remount maps-rw", "unmount maps-rw")
		set("EACCES", "unlink in maps-rw", "make a directory in maps-rw", "pin in maps-rw")
		set("EPERM", "change the mode in maps-rw")
	}
	if s.token {
		set("eth0 eth0/maps-rw eth0/token eth0/maps-rw/stats_", "see")
		set("ENOENT", "read in maps", "open in maps for writing", "unlink in maps", "make maps writable")
	} else {
		set("eth0 eth0/maps eth0/maps-rw eth0/maps/limits_ eth0/maps-rw/stats_", "see")
		set(fmt.Sprint(s.limit), "read in maps")
		set("EROFS", "open in maps for writing", "unlink in maps")
	}
	if s.loads {
		set("done", "pin in token", "map Array", "program SocketFilter 0")
	}
	if s.attaches {
		set("done", "count what leaves eth0", "program SchedCLS 47")
	}
	return want
}

// wantAbilities wants a container to see and do what its pod is meant to.
func (c *containerd) wantAbilities(t *testing.T, container string, others uint32, s abilities) {
	t.Helper()
	got := c.useBPF(t, container, others)
	if diff := cmp.Diff(s.want(got), got); diff != "" {
		t.Errorf("how attempts end in the container (-want +got):\n%s", diff)
	}
}
