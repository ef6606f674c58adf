package main

import (
	"context"
	"errors"
	"io"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/cnidirs"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/conflist"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/cri"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/inventory"
)

// askPods returns the pods of the runtime if its network has the plugin, and whether
// they are known. Without a runtime there are none, and that one does not answer is
// only noted.
func (f *placeFlags) askPods(ctx context.Context, network conflist.Network, r cnidirs.Runtime, stderr io.Writer) (pods inventory.Pods, known bool) {
	if f.Root != "" || len(network.Calls()) == 0 { // pods can have endpoints elsewhere
		return pods, false
	}
	err := r.Err
	if err == nil {
		pods, err = inventory.AskPods(ctx, r.Runtime, network.List.Name, askTime)
	}
	if f.socket != "" || r.Socket != "" && !errors.Is(err, cri.ErrNoCRI) {
		noteUnasked(stderr, err)
	}
	return pods, err == nil
}

// noteUnasked notes why it is not known which pods have no endpoint.
func noteUnasked(stderr io.Writer, err error) {
	if err != nil {
		logTo(stderr)("pods without an endpoint are not listed: %v", err)
	}
}
