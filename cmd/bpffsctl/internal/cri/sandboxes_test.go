package cri_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/cri"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/testcri"
	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

func ids(pods []cri.Sandbox) (all []string) {
	for _, p := range pods {
		all = append(all, p.ID)
	}
	return all
}

// Of the pods that run those count that have a network of their own, and run still
// when they are asked about.
func TestNetworked(t *testing.T) {
	server := testcri.Start(t, testcri.Pod{ID: "a", Namespace: "ns", Name: "pod"}, testcri.Pod{ID: "host", Host: true},
		testcri.Pod{ID: "ended", NotReady: true}, testcri.Pod{ID: "gone", Gone: true}, testcri.Pod{ID: "ends"})
	r := cri.Runtime{Socket: server.Socket}
	running, err := r.Running(t.Context(), time.Minute)
	testns.Must(t, err)
	if diff := cmp.Diff([]string{"a", "host", "gone", "ends"}, ids(running)); diff != "" {
		t.Errorf("Running (-want +got):\n%s", diff)
	}
	if p := running[0]; p.Namespace != "ns" || p.Name != "pod" || p.Created.UnixNano() != 1 {
		t.Errorf("Running: got %+v", p)
	}
	server.Set(testcri.Pod{ID: "a"}, testcri.Pod{ID: "host", Host: true}, testcri.Pod{ID: "ends", NotReady: true})
	networked, err := r.Networked(t.Context(), time.Minute, running)
	if diff := cmp.Diff([]string{"a"}, ids(networked)); diff != "" || err != nil {
		t.Errorf("Networked: %v (-want +got):\n%s", err, diff)
	}
	server.Silence()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Running(ctx, time.Minute); err == nil {
		t.Error("Running without an answer: got no error")
	}
	if _, err := r.Networked(t.Context(), 10*time.Millisecond, running); err == nil {
		t.Error("Networked without an answer: got no error")
	}
}
