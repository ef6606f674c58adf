package doctor

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/testadd"
	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

func TestLocks(t *testing.T) {
	for _, row := range []struct {
		name, role, says string
		where            func(r *rig) string
	}{
		{"the records", "hold records", "keeps the records locked", func(r *rig) string { return r.Root }},
		{"a directory to be mounted on", "hold lock", "no bpffs can be mounted", func(r *rig) string {
			r.Root = r.t.TempDir()
			return r.Root
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := newRig(t)
			r.hurry()
			kill := testns.Start(t, row.role, envPath+"="+row.where(r))
			found := faulty(of(r.run(t), "lock"))
			if len(found) != 1 || found[0].Status != Failure || !strings.Contains(found[0].Detail, row.says) {
				t.Fatalf("lock: got %+v, want one failure with %q", found, row.says)
			}
			_, pid, ok := strings.Cut(found[0].Fix, "kill ")
			if name, err := os.ReadFile("/proc/" + pid + "/cmdline"); !ok || !strings.Contains(string(name), "exe") {
				t.Errorf("the fix %q does not end the process that holds the lock, but %q (%v)", found[0].Fix, name, err)
			}
			kill()
			if bad := faulty(of(r.run(t), "lock")); len(bad) > 0 {
				t.Errorf("lock after its holder was killed: %+v", bad)
			}
		})
	}
}

// What is missing only for a moment, because a pod is just being started or
// deleted, is no fault.
func TestPassingFaults(t *testing.T) {
	for _, row := range []struct {
		name string
		then func(r *rig)
	}{
		{"the pin is made", func(r *rig) {
			pin := r.dir(r.t).LocalMapPath("stats_", r.id)
			testns.Must(r.t, os.Rename(pin+"_away", pin))
		}},
		{"the endpoint is released", func(r *rig) { r.del(r.t, r.pod) }},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := newRig(t)
			r.Patience = time.Second
			pin := r.dir(t).LocalMapPath("stats_", r.id)
			testns.Must(t, os.Rename(pin, pin+"_away"))
			unmount(t, r.netns)
			checks := []string{"pins"}
			if row.name == "the endpoint is released" {
				checks = append(checks, "network-namespaces")
			}
			time.AfterFunc(300*time.Millisecond, func() { row.then(r) })
			found := Run(t.Context(), r.Options)
			for _, check := range checks {
				if bad := faulty(of(found, check)); len(bad) > 0 {
					t.Errorf("%s: %+v", check, bad)
				}
			}
		})
	}
}

// Looking again at what is missing leaves what a killed process left, too.
func TestMissingChangesNothing(t *testing.T) {
	r := newRig(t)
	r.hurry()
	relink(t, "net/c2/eth0", r.records("scratch/owner"))
	remove(t, r.dir(t).LocalMapPath("stats_", r.id))
	found := r.run(t)
	for _, check := range []string{"pins", "leftovers"} {
		if bad := faulty(of(found, check)); len(bad) != 1 {
			t.Errorf("%s: got %+v, want one warning", check, bad)
		}
	}
}

// Whoever mounts, or changes the records, has a lock for a moment.
func TestPassingLocks(t *testing.T) {
	for _, row := range []struct {
		name, role string
		make       func(r *rig)
	}{
		{"the records", "hold records", func(*rig) {}},
		{"a directory to be mounted on", "hold lock", func(r *rig) { r.Root = r.t.TempDir() }},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := newRig(t)
			r.Patience = time.Second
			row.make(r)
			time.AfterFunc(300*time.Millisecond, testns.Start(t, row.role, envPath+"="+r.Root))
			if bad := faulty(of(Run(t.Context(), r.Options), "lock")); len(bad) > 0 {
				t.Errorf("lock: %+v", bad)
			}
		})
	}
}

// Others have the records while doctor looks at many.
func TestOthersHaveTheRecords(t *testing.T) {
	r := newRig(t)
	testadd.Many(t, r.Root, 8000, r.netns)
	testadd.Waits(t, r.Root, func() {
		if bad := faulty(of(Run(t.Context(), r.Options), "records")); len(bad) > 0 {
			t.Errorf("records: %+v", bad)
		}
	})
}
