package doctor

import (
	"slices"
	"strings"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/inventory"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/output"
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

func decidePins(s site) []Finding {
	missing := s.decideLost(inventory.PinMissing, "missing", "; somebody removed what was there",
		func(p inventory.Pin) bool { return p.Kind == inventory.Missing })
	replaced := s.decideLost(inventory.PinReplaced, "replaced", "; what is there is not the map that the plugin made",
		func(p inventory.Pin) bool { return p.Replaced })
	if found := append(missing, replaced...); len(found) > 0 {
		return found
	}
	return pass(s.maps, "all maps that the plugin made are there")
}

// decideLost warns of the pins of the endpoints in the state.
func (s site) decideLost(state inventory.State, what, why string, is func(inventory.Pin) bool) []Finding {
	owners := s.lostAs(state)
	var paths []string
	for _, e := range owners {
		for _, p := range e.Pins {
			if is(p) {
				paths = append(paths, p.Path)
			}
		}
	}
	if len(paths) == 0 {
		return nil
	}
	return about(owners, warn(s.maps, output.Count(len(paths), "recorded pin", "recorded pins")+" "+what+": "+list(paths)+why, deletePods(owners)))
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
		return warn(s.maps, output.Count(len(occupying), "pin", "pins")+" that no record owns, with a name of ours: "+list(occupying)+
			"; no pod can get an ID that a pin occupies",
			look("bpftool", "map", "show", "pinned", occupying[0])+ifUnused([]string{"rm", "-r"}, some(occupying)...)+
				again(len(occupying)))
	}
	if others > 0 {
		return pass(s.maps, output.Count(others, "pin", "pins")+" of others, whose names are not ours: "+list(s.seen.Foreign))
	}
	return pass(s.maps, "no pin that no record owns")
}

// occupies reports whether the path is one that an ADD could choose. Where no
// configuration says which names it declares, it may be any.
func (s site) occupies(pin string) bool {
	m, ok := bpffs.ParseLocalMap(pin)
	return ok && (!s.Known || slices.Contains(s.Names, m.Name))
}
