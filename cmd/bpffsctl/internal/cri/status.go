package cri

import (
	"context"

	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// A Network says whether the runtime can connect pods to its network.
type Network struct {
	Ready   bool
	Message string // why not
}

// Network returns what the runtime says of its network. With cniVersion 1.1.0
// some ask the plugins for it (STATUS); the others only look whether one is configured.
func (c *Client) Network(ctx context.Context) (n Network, err error) {
	err = c.ask(ctx, "the status of its network", func(ctx context.Context) error {
		r, err := c.service.Status(ctx, &runtime.StatusRequest{})
		for _, condition := range r.GetStatus().GetConditions() {
			if condition.GetType() == runtime.NetworkReady {
				n = Network{condition.GetStatus(), condition.GetMessage()}
			}
		}
		return err
	})
	return n, err
}
