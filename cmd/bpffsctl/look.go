package main

import (
	"context"
	"io"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/conflist"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/inventory"
)

// A look is what a command sees of the node at once.
type look struct {
	network   conflist.Network // that the runtime uses for its pods
	roots     []string         // of each bpffs
	endpoints []inventory.Endpoint
	lacking   []inventory.Endpoint // the pods that have none
	podsKnown bool                 // whether the runtime was asked for them, and answered
}

// look looks at the endpoints that choose returns, and at the pods that have none. It
// notes on stderr why those are not known. With an error something was not seen.
func (f *placeFlags) look(ctx context.Context, choose func([]inventory.Endpoint) []inventory.Endpoint, stderr io.Writer) (l look, err error) {
	asking, cancel := context.WithTimeout(ctx, askTime)
	where, r := f.find(asking)
	dir, _ := conflist.Read(where.ConfDir) // no runtime uses what cannot be read
	l.network = inventory.PodNetwork(dir, r.Version)
	pods, known := f.askPods(asking, l.network, r, stderr) // before the records
	cancel()
	var unseen, unasked error
	l.roots, unseen = inventory.Roots(where)
	l.endpoints, err = inventory.ChooseIn(ctx, l.roots, unseen, func(all []inventory.Endpoint) []inventory.Endpoint {
		l.lacking, unasked = pods.Without(ctx, inventory.Containers(all), askTime)
		return choose(all)
	})
	if err != nil { // they may be in what could not be read
		l.lacking = nil
		return l, err
	}
	noteUnasked(stderr, unasked)
	l.podsKnown = known && unasked == nil
	return l, nil
}
