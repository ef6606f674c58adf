package doctor

import (
	"cmp"
	"context"
	"errors"
	"os"
	"time"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/cnidirs"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/cri"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/output"
)

// A criRuntime is what the container runtime says over the CRI, and what was seen
// of its process.
type criRuntime struct {
	cnidirs.Runtime

	process process
}

// A process is zero if it is not known.
type process struct {
	holder

	ownNS bool // it has a mount namespace of its own
}

func lookAtRuntime(ctx context.Context, socket string, patience time.Duration) criRuntime {
	r := criRuntime{Runtime: cnidirs.Ask(ctx, socket, patience)}
	if here, err := r.SameNamespace(); err == nil {
		r.process = process{holder{r.PID, nameOfProcess(r.PID)}, !here}
	}
	return r
}

// decideRuntime only warns of a node without a socket: podman has none.
func decideRuntime(r criRuntime) []Finding {
	const logs = "journalctl -n 20 -u containerd, or of your runtime's unit"
	switch {
	case r.Socket == "" && errors.Is(r.Err, cri.ErrNoRuntime):
		return warn("the usual places", "no CRI socket: nothing is known of the runtime", "if there is one: bpffsctl doctor --cri-socket PATH")
	case r.Err != nil:
		return fail(cmp.Or(r.Socket, "the usual places"), r.Err.Error(), "what says it: "+logs+"; sockets that there are: ls /run/*/*.sock")
	case !r.Status.Ready:
		return fail(r.Socket, r.String()+": the network is not ready: "+r.Status.Message, "what this says; and: "+logs)
	}
	return pass(r.Socket, r.String()+": the network is ready")
}

func checkRuntimeNamespace(_ context.Context, n *node) []Finding {
	r := n.runtime()
	var found []Finding
	for _, s := range n.sites() {
		found = append(found, decideRuntimeNamespace(r.process, s, r.sees(s.Path))...)
	}
	return found
}

// sees reports whether the runtime finds at the path what is there.
func (r criRuntime) sees(path string) bool {
	here, err := os.Stat(path)
	if err != nil {
		return !r.process.ownNS
	}
	there, err := r.Stat(path)
	return !r.process.ownNS || err == nil && os.SameFile(here, there)
}

func decideRuntimeNamespace(p process, s site, sees bool) []Finding {
	looked := p.String()
	fix := "let the runtime use the host's mount namespace (systemd: no PrivateMounts=, PrivateTmp= or ProtectSystem= in its unit), " +
		"or mount before it starts: " + output.Command("mount", "-t", "bpf", "none", s.Path) + "; then restart it"
	switch {
	case p.pid == 0:
		return pass("the runtime", "its process is not known")
	case !p.ownNS:
		return pass(looked, "the runtime is in this mount namespace")
	case s.rootErr != nil:
		return notLooked(s.Path, "root")
	case !s.mounted:
		return warn(looked, "the runtime has a mount namespace of its own, in which the first ADD mounts the bpffs; it dies with the runtime, and nobody else sees it", fix)
	case !sees:
		return fail(looked, "the runtime has a mount namespace of its own and does not see the bpffs at "+s.Path+
			": pods have their maps in another one, which dies with the runtime", fix)
	}
	return pass(looked, "the runtime has a mount namespace of its own, and sees this bpffs")
}
