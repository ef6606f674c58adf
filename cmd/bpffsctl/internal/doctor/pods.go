package doctor

import (
	"context"
	"slices"
	"time"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/inventory"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/output"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/places"
)

// checkPods looks for pods that run without an endpoint although the network that the
// runtime uses has the plugin.
func checkPods(ctx context.Context, n *node) []Finding {
	network, calls := places.Used(n.dirs().Conf)
	r := n.runtime()
	switch {
	case !calls:
		return pass(n.dirs().Conf, "no pod needs an endpoint, as far as is known: the network that the runtime uses does not have bpffs")
	case r.Socket == "":
		return pass("the usual places", "no CRI socket: it is not known which pods run")
	case r.Err != nil:
		return notLooked(r.Socket, "runtime")
	}
	has := make(map[string]bool)
	for _, s := range n.sites() {
		if because := s.hindered(); because != "" {
			return notLooked(s.Path, because)
		}
		for _, e := range s.seen.Endpoints {
			has[e.Attachment.ContainerID] = true
		}
	}
	lacking, err := n.lacking(ctx, network, has)
	return decidePods(r.Socket, lacking, err)
}

// lacking returns the pods on the network that are none of the containers with an
// endpoint, now and a while later, too, for a pod may just be started or deleted.
func (n *node) lacking(ctx context.Context, network string, has map[string]bool) ([]inventory.Endpoint, error) {
	before, err := n.lackingNow(ctx, network, has, nil)
	if err != nil || len(before) == 0 {
		return nil, err
	}
	select {
	case <-ctx.Done():
	case <-time.After(n.Patience):
	}
	now, err := n.lackingNow(ctx, network, has, func() ([]inventory.Record, error) {
		roots, err := places.Roots(places.Find(n.where()))
		return inventory.RecordsIn(ctx, roots, err)
	})
	was := inventory.Containers(before)
	return slices.DeleteFunc(now, func(e inventory.Endpoint) bool { return !was[e.Container] }), err
}

// lackingNow asks for the pods, and for more records after it.
func (n *node) lackingNow(ctx context.Context, network string, has map[string]bool, more func() ([]inventory.Record, error)) ([]inventory.Endpoint, error) {
	pods, err := inventory.AskPods(ctx, n.runtime().Runtime.Runtime, network, n.Patience)
	if err == nil && more != nil {
		var records []inventory.Record
		records, err = more()
		for i := range records {
			has[records[i].Attachment.ContainerID] = true
		}
	}
	if err != nil {
		return nil, err
	}
	return pods.Without(ctx, has, n.Patience)
}

func decidePods(socket string, lacking []inventory.Endpoint, err error) []Finding {
	if err != nil {
		return warn(socket, "it is not known which pods have no endpoint: "+err.Error(), "bpffsctl list")
	}
	if len(lacking) == 0 {
		return pass(socket, "every pod on the network has an endpoint")
	}
	var names []string
	for _, e := range lacking {
		names = append(names, nameOf(e))
	}
	return about(lacking, fail(socket, output.Count(len(names), "pod has", "pods have")+" no endpoint and no maps, and nothing but a new ADD gives them any: "+
		list(names)+"; they were there before the plugin, or the bpffs was unmounted", deletePods(lacking)))
}
