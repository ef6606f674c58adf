package bpffs

import (
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
