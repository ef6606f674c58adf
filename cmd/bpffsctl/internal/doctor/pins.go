package doctor

import (
	"slices"
	"strings"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/inventory"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/output"
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

func decidePins(s site) []Finding {
	const one, many = "recorded pin", "recorded pins"
	found := s.decideLost(inventory.PinMissing, s.maps, "missing", one, many, "; somebody removed what was there")
	found = append(found, s.decideLost(inventory.PinReplaced, s.maps, "replaced", one, many, "; another pin took its place")...)
	return or(found, s.maps, "all maps that the plugin made are there")
}

// decideLost warns of what endpoints in the state have lost.
func (s site) decideLost(state inventory.State, looked, what, one, many, why string) []Finding {
	owners := s.lostAs(state)
	var paths []string
	for _, e := range owners {
		paths = append(paths, e.Lost(state)...)
	}
	if len(paths) == 0 {
		return nil
	}
	return about(owners, warn(looked, output.Count(len(paths), one, many)+" "+what+": "+list(paths)+why, deletePods(owners)))
}

// deletePods says how to have the pods made anew.
func deletePods(endpoints []inventory.Endpoint) string {
	var lines []string
	for _, e := range endpoints[:min(len(endpoints), maxListed)] {
		if e.PodNamespace != "" {
			lines = append(lines, output.Command("kubectl", "-n", e.PodNamespace, "delete", "pod", e.PodName))
			continue
		}
		lines = append(lines, "delete and make anew: container "+output.Quote(e.Container))
	}
	return strings.Join(lines, "; ") + again(len(endpoints))
}

// An ADD passes over an ID if something is at one of the paths that it would get.
// Pins of another form, or whose name nobody declares, hinder nobody: Cilium and
// iproute2 keep theirs in the same directory.
func decideForeign(s site) []Finding {
	var occupying []string
	for _, pin := range s.seen.Foreign {
		if s.occupies(pin) {
			occupying = append(occupying, pin)
		}
	}
	others := len(s.seen.Foreign) - len(occupying)
	if len(occupying) > 0 {
		return warn(s.maps, output.Count(len(occupying), "pin", "pins")+" with a name of ours that no record owns: "+list(occupying)+
			"; no pod can get an ID that a pin occupies",
			look("bpftool", "map", "show", "pinned", occupying[0])+ifUnused([]string{"rm", "-r"}, some(occupying)...)+
				again(len(occupying)))
	}
	if others > 0 {
		return pass(s.maps, output.Count(others, "pin", "pins")+" of others, whose names are not ours: "+list(s.seen.Foreign))
	}
	return pass(s.maps, "every pin with a name of ours has a record")
}

// occupies reports whether the path is one that an ADD could choose. Where no
// configuration says which names it declares, it may be any.
func (s site) occupies(pin string) bool {
	m, ok := bpffs.ParseLocalMap(pin)
	return ok && (!s.Known || slices.Contains(s.Names, m.Name))
}
