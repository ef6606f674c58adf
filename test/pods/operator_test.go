package pods

import (
	"encoding/json"
	"os/exec"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/test/internal/plugintest"
)

// report is what bpffsctl prints for machines, as far as it tells of volumes.
type report struct {
	Endpoints []struct {
		ContainerID, PodUID string
		States              []string
		Views               []struct {
			Directory, Path string
			Mounted, Token  bool
			Maps            []string
		}
	}
	Findings []struct{ Check, Status, Detail string }
}

// bpffsctl returns what the command prints, whatever it finds.
func bpffsctl(t *testing.T, args ...string) (r report) {
	t.Helper()
	a, err := plugintest.Run(exec.Command("../../bin/bpffsctl", append(args, "--output", "json")...))
	testns.Must(t, err)
	if err := json.Unmarshal([]byte(a.Stdout), &r); err != nil {
		t.Fatalf("bpffsctl %q: %v: %s%s", args, err, a.Stdout, a.Stderr)
	}
	return r
}

// wantSeen wants an operator to read of the container that its pod sees the directories.
func (s sandbox) wantSeen(t *testing.T, state string, dirs ...string) {
	t.Helper()
	e := bpffsctl(t, "show", s.container).Endpoints[0]
	var got []string
	for _, v := range e.Views {
		if v.Mounted {
			got = append(got, v.Directory)
		}
		wantMaps := map[string][]string{"maps": {"policy_"}, "maps-rw": {"stats_"}}[v.Directory[len(s.ifName)+1:]]
		if v.Mounted && (v.Path != s.at(v.Directory[len(s.ifName)+1:]) || v.Token != (wantMaps == nil) || !cmp.Equal(v.Maps, wantMaps)) {
			t.Errorf("bpffsctl show: got the view %+v, want the maps %q", v, wantMaps)
		}
	}
	if !cmp.Equal(got, dirs) || e.PodUID != s.uid || !cmp.Equal(e.States, []string{state}) {
		t.Errorf("bpffsctl show: got %+v, want %s, and that the pod %s sees %q", e, state, s.uid, dirs)
	}
	for _, f := range bpffsctl(t, "doctor").Findings {
		if f.Check == "pod-views" && (f.Status == "ok") != (state == "ok") {
			t.Errorf("bpffsctl doctor: got %+v, want the state %s", f, state)
		}
	}
}

// TestOperator: operators read what pods see, and what somebody unmounted.
func TestOperator(t *testing.T) {
	eachKernel(t, func(t *testing.T, s sandbox) {
		t.Helper()
		s.netns = netNS(t, 0)
		s.add(t)
		s.wantSeen(t, "ok", "eth0/maps", "eth0/maps-rw")
		again := next(s)
		again.add(t)
		s.wantSeen(t, "ok")
		again.wantSeen(t, "ok", "eth0/maps", "eth0/maps-rw")
		s.del(t)
		again.wantSeen(t, "ok", "eth0/maps", "eth0/maps-rw")
		testns.Must(t, unix.Unmount(again.at("maps"), 0))
		again.wantSeen(t, "volume-missing", "eth0/maps-rw")
		again.add(t)
		again.wantSeen(t, "ok", "eth0/maps", "eth0/maps-rw")
	})
	t.Run("a token", func(t *testing.T) {
		s := newSandbox(t).withToken(t)
		s.add(t)
		s.asPod(t, func(dir string) error { return fill(dir, 3, 3) })
		s.wantSeen(t, "ok", "eth0/maps-rw", "eth0/token")
		testns.Must(t, unix.Unmount(s.at("token"), 0))
		s.wantSeen(t, "volume-missing", "eth0/maps-rw")
	})
}
