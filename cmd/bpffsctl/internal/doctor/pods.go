package doctor

import (
	"context"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/inventory"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/output"
)

// checkPods looks for pods that run without an endpoint although the network that the
// runtime uses has the plugin.
func checkPods(ctx context.Context, n *node) []Finding {
	r := n.runtime()
	network := inventory.PodNetwork(n.networks().Dir, r.Version)
	switch {
	case len(network.Calls()) == 0:
		return pass(n.dirs().Conf, "no pod is known to need an endpoint: the network that the runtime uses does not have bpffs")
	case r.Socket == "":
		return pass("the usual places", "no CRI socket: cannot tell which pods run")
	case r.Err != nil:
		return notLooked(r.Socket, "runtime")
	}
	for _, s := range n.sites() {
		if because := s.hindered(); because != "" {
			return notLooked(s.Path, because)
		}
	}
	lacking, err := inventory.Lacking(ctx, r.Runtime, network.List.Name, n.Patience, func() ([]inventory.Record, error) { return n.records(ctx) })
	return decidePods(r.Socket, lacking, err)
}

func decidePods(socket string, lacking []inventory.Endpoint, err error) []Finding {
	if err != nil {
		return warn(socket, "cannot tell which pods have no endpoint: "+err.Error(), "bpffsctl list")
	}
	if len(lacking) == 0 {
		return pass(socket, "every pod on the network has an endpoint")
	}
	var names []string
	for _, e := range lacking {
		names = append(names, nameOf(e))
	}
	return about(lacking, fail(socket, output.Count(len(names), "pod has", "pods have")+" no endpoint and no maps: "+list(names)+
		"; started before the plugin was installed, or somebody unmounted the bpffs", deletePods(lacking)))
}
