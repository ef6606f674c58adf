package install

import (
	"context"
	"strconv"
	"strings"
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
	sockets := []string{r.Socket}
	if r.Socket == "" {
		sockets = cri.DefaultSockets()
	}
	for _, socket := range sockets {
		if v, err := versionAt(ctx, socket); err == nil {
			r.reads, r.known = ReadsDropIns(v.Runtime, v.Version), true
			break
		}
	}
	return r.reads, r.known
}

func versionAt(ctx context.Context, socket string) (cri.Version, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c, err := cri.New(socket)
	if err != nil {
		return cri.Version{}, err
	}
	defer c.Close()
	return c.Version(ctx)
}

// ReadsDropIns reports whether a container runtime, by the name and version that
// it gives over CRI, is known to read the files in directories of networks: those
// with libcni from 1.3 on, which containerd has from 2.1 on. Of other runtimes it
// is not known.
func ReadsDropIns(name, version string) bool {
	if name != "containerd" {
		return false
	}
	major, rest, ok := strings.Cut(strings.TrimPrefix(version, "v"), ".")
	if !ok {
		return false
	}
	minor, _, _ := strings.Cut(rest, ".")
	x, xerr := strconv.Atoi(major)
	y, yerr := strconv.Atoi(minor)
	return xerr == nil && yerr == nil && (x > 2 || x == 2 && y >= 1)
}
