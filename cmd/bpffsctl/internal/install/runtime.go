package install

import (
	"context"
	"time"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/cri"
)

// patience is how long a runtime may take to say what it is.
const patience = 2 * time.Second

// A Runtime is the container runtime of the node.
type Runtime struct {
	Socket string // its CRI socket; empty: the first of the usual ones that answers

	said cri.Version // what it said last
}

// Version returns what the runtime says it is. One that does not answer is what it
// was when it did.
func (r *Runtime) Version(ctx context.Context) cri.Version {
	if found, err := cri.Find(ctx, r.Socket, patience); err == nil {
		r.said = found.Version
	}
	return r.said
}
