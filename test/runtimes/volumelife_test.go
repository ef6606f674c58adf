package runtimes

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// holderRole is the role of a process that has a copy of all mounts.
const holderRole = "holder"

// holder has a private mount namespace for as long as its standard input is open.
func holder(stdout io.Writer) error {
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return os.NewSyscallError("unshare", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return os.NewSyscallError("mount", err)
	}
	if _, err := fmt.Fprintln(stdout, "holding"); err != nil {
		return err
	}
	testns.Await()
	return nil
}

// A volumeLife is a containerd with a neighbor, under which pods of a kind live.
type volumeLife struct {
	rt     *containerd
	kind   volumePod
	others uint32 // the neighbor's map
}

// user is the process of the pod that uses what there is to use.
func (l volumeLife) user() *cri.LinuxContainerSecurityContext {
	if l.kind.token {
		return as(0, "BPF", "NET_ADMIN")
	}
	return as(nobody)
}

// look wants a running container of the pod to see all that it is meant to.
func (l volumeLife) look(t *testing.T, container string, limit uint64) {
	t.Helper()
	l.rt.wantAbilities(t, container, l.others, abilities{limit: limit, token: l.kind.token, loads: l.kind.token, attaches: l.kind.token})
}

// TestVolumesLife24: pods see their maps for as long as they live, and no longer.
func TestVolumesLife24(t *testing.T) {
	if !onNode(t) {
		return
	}
	needTokens(t)
	rt := newContainerd(t, "2.4")
	kubeletOnDisk(t)
	rt.network(t, conflist("1.1.0", volumes))
	neighbor, others := rt.newNeighbor(t)
	for _, step := range []struct {
		name, feature string
		do            func(t *testing.T, l volumeLife)
	}{
		{"containers", "the pod's volume: an init container, and containers that are started again", volumeOfContainers},
		{"again", "the pod's volume: a sandbox made again, with the old one's second DEL after it", volumeAgain},
		{"restart", "the pod's volume: containerd restarted under the pod", volumeRestart},
		{"held", "the pod's volume: another mount namespace has a copy of its mounts", volumeHeld},
		{"group", "the pod's volume: fsGroup", volumeOfGroup},
		{"profiles", "the pod's volume: with the seccomp profile of the runtime, and that of docs/pods.md", volumeProfiles},
	} {
		t.Run(step.name, func(t *testing.T) {
			works(t, rt.subject(), step.feature)
			for _, kind := range everyPod() {
				if kind.memory != (kind.userNS && !kind.token) {
					continue // one of each two is enough here
				}
				kind.name += "-" + step.name
				t.Run(kind.name, func(t *testing.T) { step.do(t, volumeLife{rt, kind, others}) })
			}
		})
	}
	neighbor.end(t)
	neighbor.wantNoVolume(t)
	nothingLeft(t)
}

// end ends the pod and removes its directory, as kubelet does.
func (l volumeLife) end(t *testing.T, p *pod, mapID uint32) {
	t.Helper()
	p.end(t)
	wantGone(t, mapID)
	p.wantNoVolume(t)
	if l.kind.memory {
		testns.Must(t, unix.Unmount(p.volume(), 0))
	}
	testns.Must(t, os.RemoveAll(filepath.Join(kubeletDir, "pods", p.config.GetMetadata().GetUid())))
}

func volumeOfContainers(t *testing.T, l volumeLife) {
	t.Helper()
	p := l.kind.run(t, l.rt, "runc")
	id := limitedTo(t, pinned(t, p.id), 7)
	for range 3 {
		container := p.mounter(t, "main", l.user())
		l.look(t, container, 7)
		l.rt.endContainer(t, container)
	}
	l.end(t, p, id)
}

func volumeAgain(t *testing.T, l volumeLife) {
	t.Helper()
	old := l.kind.run(t, l.rt, "runc")
	oldID := limitedTo(t, pinned(t, old.id), 7)
	l.look(t, old.mounter(t, "main", l.user()), 7)
	must(t, old.stop)
	wantGone(t, oldID)
	old.config.Metadata.Attempt++
	p := &pod{rt: l.rt, config: old.config}
	must(t, p.run)
	id := limitedTo(t, pinned(t, p.id), 8)
	container := p.mounter(t, "again", l.user())
	must(t, old.remove)
	l.look(t, container, 8)
	l.look(t, p.mounter(t, "later", l.user()), 8)
	l.end(t, p, id)
}

func volumeRestart(t *testing.T, l volumeLife) {
	t.Helper()
	p := l.kind.run(t, l.rt, "runc")
	id := limitedTo(t, pinned(t, p.id), 7)
	container := p.mounter(t, "main", l.user())
	l.rt.stop(t)
	l.rt.start(t)
	l.look(t, container, 7)
	l.look(t, p.mounter(t, "later", l.user()), 7)
	l.end(t, p, id)
}

func volumeHeld(t *testing.T, l volumeLife) {
	t.Helper()
	p := l.kind.run(t, l.rt, "runc")
	id := limitedTo(t, pinned(t, p.id), 7)
	testns.Start(t, holderRole)
	l.look(t, p.mounter(t, "main", l.user()), 7)
	l.end(t, p, id)
}

func volumeOfGroup(t *testing.T, l volumeLife) {
	t.Helper()
	const group = 2000
	p := l.rt.newPod(t, l.kind.name)
	l.kind.prepare(t, p)
	testns.Must(t, os.Chown(p.volume(), 0, group))
	testns.Must(t, os.Chmod(p.volume(), os.ModeSetgid|0o777))
	must(t, p.run)
	id := limitedTo(t, pinned(t, p.id), 7)
	user := l.user()
	user.SupplementalGroups = []int64{group}
	l.look(t, p.mounter(t, "main", user), 7)
	l.end(t, p, id)
}

func volumeProfiles(t *testing.T, l volumeLife) {
	t.Helper()
	p := l.kind.run(t, l.rt, "runc")
	id := limitedTo(t, pinned(t, p.id), 7)
	ours, err := filepath.Abs(filepath.Join(top, "deploy/seccomp/bpffs-maps.json"))
	testns.Must(t, err)
	standard := &cri.SecurityProfile{ProfileType: cri.SecurityProfile_RuntimeDefault}
	local := &cri.SecurityProfile{ProfileType: cri.SecurityProfile_Localhost, LocalhostRef: ours}
	for _, tt := range []struct {
		name        string
		user        *cri.LinuxContainerSecurityContext
		profile     *cri.SecurityProfile
		maps, loads bool
	}{
		{"runtime", as(nobody), standard, false, false},
		{"runtime-with-bpf", as(0, "BPF", "NET_ADMIN"), standard, true, true},
		{"ours", as(nobody), local, true, false},
	} {
		tt.user.Seccomp = tt.profile
		got := l.rt.useBPF(t, p.mounter(t, tt.name, tt.user), l.others)
		for what, want := range l.underProfile(tt.maps, tt.loads) {
			if got[what] != want {
				t.Errorf("%s with the profile %s: got %s, want %s", what, tt.name, got[what], want)
			}
		}
	}
	l.end(t, p, id)
}

// underProfile is how attempts end where the profile lets maps be used, or programs be
// loaded.
func (l volumeLife) underProfile(maps, loads bool) map[string]string {
	want := map[string]string{
		"read in maps": "EPERM", "open in maps for writing": "EPERM", "write in maps-rw": "EPERM", "map Array": "EPERM",
	}
	if maps {
		want["write in maps-rw"], want["read in maps"], want["open in maps for writing"] = "done", "7", "EROFS"
	}
	if maps && l.kind.token {
		want["read in maps"], want["open in maps for writing"] = "ENOENT", "ENOENT"
	}
	if loads && (l.kind.token || !l.kind.userNS) { // CAP_BPF of the node is enough, too
		want["map Array"] = "done"
	}
	return want
}
