package doctor

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/testcri"
	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

func TestPodsWithoutEndpoint(t *testing.T) {
	has := testcri.Pod{ID: "c1", Namespace: "my-ns", Name: "web-0"}
	lacks := testcri.Pod{ID: "c2", Namespace: "my-ns", Name: "web $(x)"}
	var many []testcri.Pod
	for i := range 9 {
		many = append(many, testcri.Pod{ID: fmt.Sprintf("m%d", i), Namespace: "ns", Name: fmt.Sprintf("pod-%d", i)})
	}
	for _, row := range []struct {
		name   string
		pods   []testcri.Pod
		change func(r *rig, runtime *testcri.Runtime)
		status Status
		says   string
		fix    string
	}{
		{"all have one", []testcri.Pod{has}, nil, OK, "every pod", ""},
		{"none is there", nil, nil, OK, "every pod", ""},
		{"on the network of the node", []testcri.Pod{has, {ID: "h", Host: true}}, nil, OK, "every pod", ""},
		{"ended", []testcri.Pod{has, {ID: "e", NotReady: true}}, nil, OK, "every pod", ""},
		{"older than the plugin", []testcri.Pod{has, lacks}, nil, Failure, "1 pod has no endpoint", "kubectl -n my-ns delete pod 'web $(x)'"},
		{"many", many, nil, Failure, "9 pods have no endpoint", "delete pod pod-4, and again"},
		{
			"unmounted under it",
			[]testcri.Pod{has},
			func(r *rig, _ *testcri.Runtime) { unmount(r.t, r.Root) },
			Failure, "1 pod has no endpoint", "kubectl -n my-ns delete pod web-0",
		},
		{"stacked mounts", []testcri.Pod{has, lacks}, func(r *rig, _ *testcri.Runtime) { testns.Mount(r.t, "bpf", r.Root, "") }, Skipped, "root", ""},
		{"no answer", []testcri.Pod{lacks}, func(_ *rig, runtime *testcri.Runtime) { runtime.Silence() }, Warning, "cannot tell which pods have no endpoint: ", ""},
		{"another network is used", []testcri.Pod{lacks}, func(r *rig, _ *testcri.Runtime) {
			r.write(r.t, "00-first.conflist", listOf("1.0.0", "first"))
		}, OK, "does not have bpffs", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := newRig(t)
			r.Patience = 2 * time.Second
			runtime := testcri.Start(t, row.pods...)
			r.CRISocket = runtime.Socket
			if row.change != nil {
				row.change(r, runtime)
			}
			got := of(r.run(t), "pods-without-endpoint")
			if len(got) != 1 || got[0].Status != row.status || !strings.Contains(got[0].Detail, row.says) || !strings.Contains(got[0].Fix, row.fix) {
				t.Errorf("got %+v, want %s with %q and the fix %q", got, row.status, row.says, row.fix)
			}
		})
	}
}
