package bpffs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

func TestDetails(t *testing.T) {
	e := newEndpoints(t)
	a := Attachment{"net", "pod", "eth0"}
	id := allocate(t, e, a, "policy_")
	for _, step := range []struct {
		name       string
		give, want Details
	}{
		{"nothing", Details{}, Details{}},
		{"new", Details{"my-ns/pod.1", "/run/netns/a"}, Details{"my-ns/pod.1", "/run/netns/a"}},
		{"again", Details{"my-ns/pod.1", "/run/netns/a"}, Details{"my-ns/pod.1", "/run/netns/a"}},
		{"other", Details{"my-ns/pod.2", "/proc/1/ns/net"}, Details{"my-ns/pod.2", "/proc/1/ns/net"}},
		{"empty keeps", Details{}, Details{"my-ns/pod.2", "/proc/1/ns/net"}},
		{"longest", Details{NetNS: "/" + strings.Repeat("n", maxPath-2)}, Details{"my-ns/pod.2", "/" + strings.Repeat("n", maxPath-2)}},
		{"too long keeps", Details{Pod: strings.Repeat("p", maxPath)}, Details{"my-ns/pod.2", "/" + strings.Repeat("n", maxPath-2)}},
	} {
		if err := e.SetDetails(id, step.give); err != nil {
			t.Errorf("%s: SetDetails: %v", step.name, err)
		}
		for ep, err := range e.All() {
			if diff := cmp.Diff(step.want, ep.Details); diff != "" || err != nil {
				t.Errorf("%s: All: %v; details (-want +got):\n%s", step.name, err, diff)
			}
		}
	}
	testns.Must(t, e.Release(a))
	want := []string{"attachments", "endpoints", "layout-1"}
	if diff := cmp.Diff(want, tree(t, inRecords(e))); diff != "" {
		t.Errorf("records after Release (-want +got):\n%s", diff)
	}
}

func TestDetailsOfNobody(t *testing.T) {
	e := newEndpoints(t)
	if err := e.SetDetails(7, Details{Pod: "my-ns/pod"}); err == nil {
		t.Error("SetDetails of an endpoint without a record succeeds")
	}
}

// A network namespace is known by the directory that it is in, whatever path leads
// there, and by none where that is not certain.
func TestNetNSIn(t *testing.T) {
	e := newEndpoints(t)
	id := allocate(t, e, Attachment{"net", "pod", "eth0"}, "policy_")
	one, other := t.TempDir(), t.TempDir()
	link := filepath.Join(t.TempDir(), "link")
	testns.Must(t, os.Symlink(one, link))
	dirID := func(path string) DirID {
		fi, err := os.Stat(path)
		testns.Must(t, err)
		return DirIDOf(fi)
	}
	if dirID(one) == dirID(other) || dirID(one) != dirID(link) {
		t.Errorf("IDs: got %s, %s and by a link to the first %s", dirID(one), dirID(other), dirID(link))
	}
	want := func(name, netns string, want DirID) {
		t.Helper()
		ep, err := e.Endpoint(id)
		if err != nil || ep.NetNSIn != want || ep.Details.NetNS != netns {
			t.Errorf("%s: got %q for %.100q (%v), want %q for %.100q", name, ep.NetNSIn, ep.Details.NetNS, err, want, netns)
		}
	}
	for _, step := range []struct {
		name, netns string
		want        DirID
	}{
		{"new", one + "/a", dirID(one)},
		{"again", one + "/a", dirID(one)},
		{"elsewhere", other + "/a", dirID(other)},
		{"by a link", link + "/a", dirID(one)},
		{"no directory", one + "/b/a", ""},
		{"there again", one + "/a", dirID(one)},
		{"too long to record that, too", strings.Repeat("/", maxPath-len("run/a")-1) + "run/a", ""},
		{"relative", "a", ""},
	} {
		testns.Must(t, e.SetDetails(id, Details{NetNS: step.netns}))
		want(step.name, step.netns, step.want)
	}
	testns.Must(t, e.SetDetails(id, Details{NetNS: one + "/a"}))
	r := e.record(id)
	testns.Must(t, r.renew(one+"/b", r.link(netNSLink))) // and killed then
	want("half recorded", one+"/b", "")
	testns.Must(t, r.cni.SetLink("nonsense", r.link(netNSIn)))
	want("nonsense", one+"/b", "")
}
