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

	reads, known bool // what it said last
}

// ReadsDropIns reports whether the runtime reads drop-in files, as far as is known.
// One that does not answer is what it was when it did.
func (r *Runtime) ReadsDropIns(ctx context.Context) (reads, known bool) {
	if found, err := cri.Find(ctx, r.Socket, patience); err == nil {
		r.reads, r.known = found.Libcni().DropIns, true
	}
	return r.reads, r.known
}
