package inventory

import (
	"context"
	"slices"
	"time"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/conflist"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/cri"
)

// PodNetwork returns the network on which the runtime's pods are, one without a name if
// that is not known. A drop-in file that is broken now was not when they started.
func PodNetwork(dir conflist.Dir, r cri.Version) conflist.Network {
	n, _ := dir.First(r.PassesBroken(), true)
	return n
}

// Pods are those that run on a node whose network has the plugin. Each must have an
// endpoint. The zero value has none.
type Pods struct {
	network string
	runtime cri.Runtime
	running []cri.Sandbox
}

// AskPods asks the runtime for its pods, which are on the network, within the
// patience. The records must be read after it, or a pod that starts meanwhile would
// seem to have none.
func AskPods(ctx context.Context, r cri.Runtime, network string, patience time.Duration) (Pods, error) {
	running, err := r.Running(ctx, patience)
	return Pods{network, r, running}, err
}

// Containers returns the containers that have an endpoint.
func Containers(endpoints []Endpoint) map[string]bool {
	has := make(map[string]bool, len(endpoints))
	for i := range endpoints {
		has[endpoints[i].Container] = true
	}
	return has
}

// Without returns the pods that are none of the containers with an endpoint, without
// those on the network of the node, as endpoints in the state [NoEndpoint]. It asks the
// runtime about each, within the patience.
func (p Pods) Without(ctx context.Context, has map[string]bool, patience time.Duration) ([]Endpoint, error) {
	var lacking []cri.Sandbox
	for _, pod := range p.running {
		if !has[pod.ID] {
			lacking = append(lacking, pod)
		}
	}
	if len(lacking) == 0 {
		return nil, nil
	}
	lacking, err := p.runtime.Networked(ctx, patience, lacking)
	if err != nil {
		return nil, err
	}
	all := make([]Endpoint, len(lacking))
	for i, pod := range lacking {
		all[i] = Endpoint{
			Identity: Identity{
				Network: p.network, PodNamespace: pod.Namespace, PodName: pod.Name, Container: pod.ID,
				Created: pod.Created.UTC().Truncate(time.Second),
			},
			States: []State{NoEndpoint}, Pins: []Pin{},
		}
	}
	return all, nil
}

// Lacking returns the pods that the runtime has running on the network and that have
// no endpoint, as [Pods.Without]: now and a while later, too, for a pod may just be
// started or deleted. read reads the records each time.
func Lacking(ctx context.Context, r cri.Runtime, network string, later time.Duration, read func() ([]Record, error)) ([]Endpoint, error) {
	look := func() ([]Endpoint, error) {
		pods, err := AskPods(ctx, r, network, later)
		if err != nil {
			return nil, err
		}
		records, err := read()
		if err != nil {
			return nil, err
		}
		return pods.Without(ctx, Containers(recorded(records)), later)
	}
	before, err := look()
	if err != nil || len(before) == 0 {
		return nil, err
	}
	select {
	case <-ctx.Done():
	case <-time.After(later):
	}
	now, err := look()
	was := Containers(before)
	return slices.DeleteFunc(now, func(e Endpoint) bool { return !was[e.Container] }), err
}
