package doctor

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/inventory"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/output"
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

func decideNetNS(s site) []Finding {
	var names []string
	gone := s.lostAs(inventory.NetNSGone)
	for _, e := range gone {
		names = append(names, fmt.Sprintf("%05d of %s", e.ID, nameOf(e)))
	}
	if len(gone) == 0 {
		return pass(s.where(), "every recorded network namespace exists")
	}
	return about(gone, warn(s.seen.Records, output.Count(len(names), "endpoint", "endpoints")+" whose network namespace is gone: "+list(names)+
		"; no DEL came, and the maps stay", s.collect()))
}

// lostAs returns the endpoints that are in the state.
func (s site) lostAs(state inventory.State) []inventory.Endpoint {
	return slices.DeleteFunc(slices.Clone(s.lost), func(e inventory.Endpoint) bool { return !e.Is(state) })
}

// collect returns what removes the endpoints of containers that are gone.
func (s site) collect() string {
	words := []string{"bpffsctl", "gc"}
	if s.only != "" {
		words = append(words, "--root", s.only)
	}
	if s.socket != "" {
		words = append(words, "--cri-socket", s.socket)
	}
	return "see what is lost: " + output.Command(words...) + "; then: " + output.Command(append(words, "--yes")...)
}

// nameOf returns the pod of an endpoint, or its container if no pod is recorded.
func nameOf(e inventory.Endpoint) string {
	return cmp.Or(e.Pod(), "container "+e.Container)
}

func decideFree(s site) []Finding {
	const nearlyFull = 90 // percent in use
	used := bpffs.MaxEndpoints - s.seen.FreeIDs
	detail := fmt.Sprintf("in use: %d of %d endpoint IDs", used, bpffs.MaxEndpoints)
	switch {
	case s.seen.FreeIDs <= 0:
		return fail(s.where(), detail+": no pod can start", s.collect())
	case used*100 > bpffs.MaxEndpoints*nearlyFull:
		return warn(s.where(), detail, s.collect())
	}
	return pass(s.where(), detail)
}
