package cri

import (
	"context"
	"slices"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// A Sandbox is a pod as the runtime names it.
type Sandbox struct {
	ID              string // the container ID that CNI plugins get
	Namespace, Name string
	UID             string // of the pod, empty if the runtime was not told
	Created         time.Time
	Ready           bool // its network is set up, and the runtime has not begun to stop it
}

// Sandboxes returns every pod that the runtime knows. One that is not ready is among
// them: the runtime has yet to remove it, and with it its network.
func (c *Client) Sandboxes(ctx context.Context) (pods []Sandbox, err error) {
	err = c.ask(ctx, "its pods", func(ctx context.Context) error {
		r, err := c.service.ListPodSandbox(ctx, &runtime.ListPodSandboxRequest{})
		for _, s := range r.GetItems() {
			m := s.GetMetadata()
			pods = append(pods, Sandbox{
				s.GetId(), m.GetNamespace(), m.GetName(), m.GetUid(), time.Unix(0, s.GetCreatedAt()),
				s.GetState() == runtime.PodSandboxState_SANDBOX_READY,
			})
		}
		return err
	})
	return pods, err
}

// Running returns the pods that are ready, within the patience.
func (r Runtime) Running(ctx context.Context, patience time.Duration) (pods []Sandbox, err error) {
	err = with(ctx, r.Socket, patience, func(ctx context.Context, c *Client) (err error) {
		pods, err = c.Sandboxes(ctx)
		return err
	})
	return slices.DeleteFunc(pods, func(p Sandbox) bool { return !p.Ready }), err
}

// Networked returns those of the pods that still run and do not use the network of the
// node, within the patience. Each takes a call.
func (r Runtime) Networked(ctx context.Context, patience time.Duration, pods []Sandbox) (some []Sandbox, err error) {
	err = with(ctx, r.Socket, patience, func(ctx context.Context, c *Client) error {
		for _, pod := range pods {
			is, err := c.isNetworked(ctx, pod.ID)
			if err != nil {
				return err
			}
			if is {
				some = append(some, pod)
			}
		}
		return nil
	})
	return some, err
}

func (c *Client) isNetworked(ctx context.Context, id string) (is bool, err error) {
	err = c.ask(ctx, "one of its pods", func(ctx context.Context) error {
		r, err := c.service.PodSandboxStatus(ctx, &runtime.PodSandboxStatusRequest{PodSandboxId: id})
		if status.Code(err) == codes.NotFound { // removed since it was listed
			return nil
		}
		s := r.GetStatus()
		is = s.GetState() == runtime.PodSandboxState_SANDBOX_READY &&
			s.GetLinux().GetNamespaces().GetOptions().GetNetwork() != runtime.NamespaceMode_NODE
		return err
	})
	return is, err
}
