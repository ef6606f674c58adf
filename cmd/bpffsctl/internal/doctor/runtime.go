package doctor

import (
	"cmp"
	"context"
	"errors"
	"os"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/cnidirs"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/cri"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/output"
)

// A process is zero if it is not known.
type process struct {
	holder

	ownNS bool // it has a mount namespace of its own
}

// processOf returns what can be seen of the runtime's process.
func processOf(r cri.Runtime) process {
	here, err := r.SameNamespace()
	if err != nil {
		return process{}
	}
	return process{holder{r.PID, nameOfProcess(r.PID)}, !here}
}

// decideRuntime only warns of a node without a socket: podman has none.
func decideRuntime(r cnidirs.Runtime) []Finding {
	const logs = "journalctl -n 20 -u containerd, or of your runtime's unit"
	switch {
	case r.Socket == "" && errors.Is(r.Err, cri.ErrNoRuntime):
		return warn("the usual places", "no CRI socket: the runtime cannot be asked", "if there is one: bpffsctl doctor --cri-socket PATH")
	case r.Err != nil:
		return fail(cmp.Or(r.Socket, "the usual places"), r.Err.Error(), "see its log: "+logs+"; see which sockets exist: ls /run/*/*.sock")
	case !r.Status.Ready:
		return fail(r.Socket, r.String()+": the network is not ready: "+r.Status.Message, "do what this says; see its log: "+logs)
	}
	return pass(r.Socket, r.String()+": the network is ready")
}

func checkRuntimeNamespace(_ context.Context, n *node) []Finding {
	r := n.runtime().Runtime
	p := processOf(r)
	var found []Finding
	for _, s := range n.sites() {
		found = append(found, decideRuntimeNamespace(p, s, !p.ownNS || sees(r, s.Path))...)
	}
	return found
}

// sees reports whether the runtime finds at the path what is there.
func sees(r cri.Runtime, path string) bool {
	here, err := os.Stat(path)
	there, rerr := r.Stat(path)
	return err == nil && rerr == nil && os.SameFile(here, there)
}

func decideRuntimeNamespace(p process, s site, sees bool) []Finding {
	looked := p.String()
	fix := "let the runtime use the host's mount namespace (systemd: no PrivateMounts=, PrivateTmp= or ProtectSystem= in its unit), " +
		"or mount before it starts: " + output.Command("mount", "-t", "bpf", "none", s.Path) + "; then restart it"
	switch {
	case p.pid == 0:
		return pass("the runtime", "its process is unknown")
	case !p.ownNS:
		return pass(looked, "the runtime is in this mount namespace")
	case s.rootErr != nil:
		return notLooked(s.Path, "root")
	case !s.mounted:
		return warn(looked, "the runtime has a mount namespace of its own, in which the first ADD mounts the bpffs; nobody else sees it, and it is lost when the runtime ends", fix)
	case !sees:
		return fail(looked, "the runtime has a mount namespace of its own and does not see the bpffs at "+s.Path+
			": pods have their maps in another one, which is lost when the runtime ends", fix)
	}
	return pass(looked, "the runtime has a mount namespace of its own, and sees this bpffs")
}
