package runtimes

import (
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// bpffsctl finds out from the runtime which pods run without an endpoint.

func TestUnserved16(t *testing.T) {
	if onNode(t) {
		unserved(t, newContainerd(t, "1.6"))
	}
}

func TestUnserved24(t *testing.T) {
	if onNode(t) {
		unserved(t, newContainerd(t, "2.4"))
	}
}

func unserved(t *testing.T, rt *containerd) {
	t.Helper()
	works(t, rt.subject(), "bpffsctl list and doctor name the pods that have no endpoint, and never one that just starts or ends")
	rt.network(t, bridgeOnly)
	old := rt.newPod(t, "old")
	must(t, old.run)
	wantUnserved(t)
	rt.network(t, conflist("1.0.0", ours))
	served := rt.newPod(t, "served")
	must(t, served.run)
	wantUnserved(t, "old")
	if bad := doctor(t, 1); !slices.Equal(bad, []string{"failure pods-without-endpoint"}) {
		t.Errorf("doctor with a pod that has no endpoint: got %q, want only a failure of pods-without-endpoint", bad)
	}
	old.end(t)
	wantUnserved(t)
	comesAndGoes(t, rt)
	testns.Must(t, syscall.Unmount(bpfRoot, syscall.MNT_DETACH))
	wantUnserved(t, "served")
	served.end(t)
	wantUnserved(t)
}

// comesAndGoes lists while pods start and end: none of them may seem to lack one.
func comesAndGoes(t *testing.T, rt *containerd) {
	t.Helper()
	pods := []*pod{rt.newPod(t, "first"), rt.newPod(t, "second"), rt.newPod(t, "third")}
	done := make(chan error)
	go func() {
		var errs []error
		for _, p := range pods {
			errs = append(errs, p.run(t.Context()), p.stop(t.Context()), p.remove(t.Context()))
		}
		done <- errors.Join(errs...)
	}()
	for {
		select {
		case err := <-done:
			testns.Must(t, err)
			return
		default:
			wantUnserved(t)
		}
	}
}

// wantUnserved reports if bpffsctl list says of other pods that they have no endpoint.
func wantUnserved(t *testing.T, pods ...string) {
	t.Helper()
	out := ctl(t, 0, "list", "--state", "no-endpoint", "--no-headers", "--sort-by", "pod", "--conf-dir", confDir, "--cri-socket", socket)
	var got []string
	for line := range strings.Lines(out) {
		got = append(got, strings.TrimPrefix(strings.Fields(line)[2], "default/"))
	}
	if !slices.Equal(got, pods) {
		t.Errorf("pods without an endpoint: got\n%s\nwant %q", out, pods)
	}
}
