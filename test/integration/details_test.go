package integration

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
	"github.com/cni-bpffs/cni-bpffs/test/internal/node"
)

// What ADD is told of the pod is there for who lists the endpoints, and does not
// make an ADD fail, whatever it is.
func TestDetails(t *testing.T) {
	const args = "CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAMESPACE=my-ns;K8S_POD_NAME=web-0.a"
	long := "/run/" + strings.Repeat("n", 5000)
	for _, tt := range []struct {
		name string
		env  []string
		want bpffs.Details
	}{
		{"no pod", nil, bpffs.Details{NetNS: "/run/netns/pod"}},
		{"a pod", []string{args}, bpffs.Details{Pod: "my-ns/web-0.a", NetNS: "/run/netns/pod"}},
		{"no path", []string{args, "CNI_NETNS=" + long}, bpffs.Details{Pod: "my-ns/web-0.a"}},
		{"no pod's name", []string{args + "/x"}, bpffs.Details{NetNS: "/run/netns/pod"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newNode(t)
			p.Add(t, conf(nil), tt.env...)
			for _, ep := range endpoints(t, defaultRoot) {
				if diff := cmp.Diff(tt.want, ep.Details); diff != "" {
					t.Errorf("details (-want +got):\n%s", diff)
				}
			}
			p.Succeed(t, "DEL", conf(nil))
			node.NothingLeft(t, defaultRoot)
		})
	}
}

// endpoints returns what is recorded in the bpffs at root: at least one endpoint.
func endpoints(t *testing.T, root string) []bpffs.Endpoint {
	t.Helper()
	all, err := bpffs.LookUp(t.Context(), root, bpffs.Query{})
	testns.Must(t, err)
	if len(all) == 0 {
		t.Fatalf("endpoints at %s: got none, want some", root)
	}
	return all
}
