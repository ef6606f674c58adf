package runtimes

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// Volumes of pods in user namespaces rest on two facts about others: bpffs cannot be
// idmapped, and container runtimes idmap the top mount of a volume only. When one of
// these tests fails, the world has changed.

const changed = "The world has changed: read \"Why an emptyDir?\" in docs/pods.md and \"Volumes of pods\" in docs/design.md. "

func TestCanaryRunc(t *testing.T) {
	if onNode(t) {
		canary(t, "runc 1.5", "runc")
	}
}

func TestCanaryCrun(t *testing.T) {
	if onNode(t) {
		hideUnified(t)
		canary(t, "crun 1.21", "crun")
	}
}

func canary(t *testing.T, version, handler string) {
	t.Helper()
	rt := newContainerd(t, "2.4")
	rt.network(t, conflist("1.0.0", ours))
	p := rt.newPod(t, "canary")
	p.handler = handler
	p.inUserNamespace()
	p.declareVolume(t, true)
	must(t, p.run)
	t.Run("below", func(t *testing.T) {
		works(t, rt.subject(), "canary: of a volume only the top mount is idmapped ("+version+")")
		topMountOnly(t, p)
	})
	t.Run("top", func(t *testing.T) {
		works(t, rt.subject(), "canary: a bpffs as the volume itself is refused ("+version+")")
		bpffsRefused(t, p)
	})
	p.end(t)
}

// mountBPFFS mounts a bpffs in the volume and returns where.
func (p *pod) mountBPFFS(t *testing.T, name string) string {
	t.Helper()
	dir := filepath.Join(p.volume(), name)
	testns.Must(t, unix.Mkdir(dir, 0o755))
	testns.Mount(t, "bpf", dir, "mode=0755")
	return dir
}

func topMountOnly(t *testing.T, p *pod) {
	t.Helper()
	p.mountBPFFS(t, "below")
	id, err := p.tryMounter(t, "below", p.volume(), as(0))
	if err != nil {
		t.Fatalf(changed+"A volume with a bpffs below it cannot be mounted in a pod with hostUsers: false any more, so such pods do not start: %v. "+
			"Does the runtime idmap what is mounted below a volume, too?", err)
	}
	mounts := p.rt.mountsIn(t, id, inside)
	volume, below := mounts[inside], mounts[inside+"/below"]
	if !slices.Contains(volume, "idmapped") {
		t.Errorf(changed+"The volume is mounted with %q, want it idmapped: if runtimes idmap volumes no more, a bpffs can be the volume itself.", volume)
	}
	if below == nil {
		t.Error(changed + "What is mounted below a volume is not in the container: pods find none of their maps.")
	}
	if slices.Contains(below, "idmapped") {
		t.Errorf(changed+"The bpffs below the volume is mounted with %q, want it not idmapped: its pins seem to be another user's.", below)
	}
}

func bpffsRefused(t *testing.T, p *pod) {
	t.Helper()
	_, err := p.tryMounter(t, "top", p.mountBPFFS(t, "top"), as(0))
	if err == nil {
		t.Fatal(changed + "A bpffs can be idmapped: it could be the volume itself, of any kind, and pods would need no emptyDir.")
	}
	if said := strings.ToLower(err.Error()); !strings.Contains(said, "invalid argument") {
		t.Errorf(changed+"A bpffs as the volume is refused with %v, want it because of EINVAL.", err)
	}
}
