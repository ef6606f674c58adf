package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/cri"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/inventory"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/output"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/places"
)

// askTime is how long list waits for a runtime, twice at most.
const askTime = time.Second

// askPods returns the pods of the runtime at the socket, or at the usual places, if its
// network has the plugin. Without a runtime there are none, and that one does not
// answer is only noted.
func askPods(ctx context.Context, where places.Where, socket string, stderr io.Writer) (pods inventory.Pods) {
	network, calls := places.Used(where.ConfDir)
	if !calls || where.Root != "" { // pods can have endpoints elsewhere
		return pods
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	r, err := cri.Find(ctx, socket, askTime)
	if err == nil {
		pods, err = inventory.AskPods(ctx, r, network, askTime)
	}
	if socket != "" || r.Socket != "" && !errors.Is(err, cri.ErrNoCRI) {
		noteUnasked(stderr, err)
	}
	return pods
}

// noteUnasked notes why it is not known which pods have no endpoint.
func noteUnasked(stderr io.Writer, err error) {
	if err != nil {
		fmt.Fprintf(stderr, "bpffsctl: pods without an endpoint are not listed: %s\n", output.CleanLines(err.Error()))
	}
}
