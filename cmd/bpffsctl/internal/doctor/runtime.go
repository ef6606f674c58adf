package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/cri"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/output"
)

// A criRuntime is what the container runtime says over the CRI, and what was seen
// of its process.
type criRuntime struct {
	cri.Runtime

	err     error
	network cri.Network
	process process
}

// A process is zero if it is not known.
type process struct {
	holder

	ownNS bool // it has a mount namespace of its own
}

// lookAtRuntime asks the runtime at the socket, or the first that answers of those
// at the usual places.
func lookAtRuntime(ctx context.Context, socket string, patience time.Duration) (r criRuntime) {
	if r.Runtime, r.err = cri.Find(ctx, socket, patience); r.err != nil {
		return r
	}
	r.process = processOf(strings.TrimPrefix(r.Socket, "unix://"))
	r.network, r.err = r.Network(ctx, patience)
	return r
}

// processOf returns the process that listens at a socket, if that can be known,
// and in which mount namespace it is.
func processOf(socket string) (p process) {
	pid, err := peerOf(socket)
	if err != nil || pid == 0 {
		return p
	}
	here, err := same("/proc/self/ns/mnt", fmt.Sprintf("/proc/%d/ns/mnt", pid))
	if err != nil {
		return p
	}
	return process{holder{pid, nameOfProcess(pid)}, !here}
}

// same reports whether two paths lead to one file.
func same(a, b string) (bool, error) {
	is, err := os.Stat(a)
	if err != nil {
		return false, err
	}
	other, err := os.Stat(b)
	return err == nil && os.SameFile(is, other), err
}

func checkRuntime(_ context.Context, n *node) []Finding {
	return decideRuntime(n.runtime())
}

// decideRuntime only warns of a node without a socket: podman has none.
func decideRuntime(r criRuntime) []Finding {
	const logs = "journalctl -n 20 -u containerd, or of your runtime's unit"
	switch {
	case r.Socket == "" && errors.Is(r.err, cri.ErrNoRuntime):
		return warn("the usual places", "no CRI socket: nothing is known of the runtime", "if there is one: bpffsctl doctor --cri-socket PATH")
	case r.err != nil:
		return fail(cmp.Or(r.Socket, "the usual places"), r.err.Error(), "what says it: "+logs+"; sockets that there are: ls /run/*/*.sock")
	case !r.network.Ready:
		return fail(r.Socket, r.String()+": the network is not ready: "+r.network.Message, "what this says; and: "+logs)
	}
	return pass(r.Socket, r.String()+": the network is ready")
}

func checkRuntimeNamespace(_ context.Context, n *node) []Finding {
	p := n.runtime().process
	var found []Finding
	for _, s := range n.sites() {
		found = append(found, decideRuntimeNamespace(p, s, p.sees(s.Path))...)
	}
	return found
}

// sees reports whether the runtime finds at the path what is there.
func (p process) sees(path string) bool {
	if !p.ownNS {
		return true
	}
	is, err := same(path, filepath.Join(fmt.Sprintf("/proc/%d/root", p.pid), path))
	return is && err == nil
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
