package runtimes

import (
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

func TestPodman(t *testing.T) {
	if !onNode(t) {
		return
	}
	p := newPodman(t)
	versions := []string{"0.4.0", "1.0.0"}
	tests := []struct {
		name, feature, args string
		check               func(t *testing.T, id string)
	}{
		{"run and rm", "run and rm, packets counted", "", func(*testing.T, string) {}},
		{"portmap", "-p with portmap in the chain, before and after", "-p=8080:80", published},
		{"uidmap", "--uidmap: a container in a user namespace, packets counted", "--uidmap=0:100000:65536", isOthers},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			works(t, podmanSubject, tt.feature+"; cniVersion "+strings.Join(versions, ", "))
			for _, v := range versions {
				for _, chain := range [][]string{{portmap, ours}, {ours, portmap}} {
					write(t, confDir+"/10-runtimes.conflist", conflist(v, chain...))
					p.life(t, strings.Fields(tt.args), tt.check)
				}
			}
		})
	}
	note(t, podmanSubject, "verbs that plugins get", verbs(t))
	t.Run("1.1.0", p.tooNew)
	t.Run("drop-in", p.ignoresDropIns)
}

const podmanSubject = "podman 4.3"

const portmap = `{"type": "portmap", "capabilities": {"portMappings": true}}`

// A podman runs containers from a directory.
type podman struct {
	env  []string
	args []string // in front of its commands
	root string
}

func newPodman(t *testing.T) *podman {
	t.Helper()
	config, err := files.ReadFile("config/containers.conf")
	testns.Must(t, err)
	write(t, "/run/podman/containers.conf", string(config))
	return &podman{
		env: append([]string{"CONTAINERS_CONF=/run/podman/containers.conf"}, os.Environ()...),
		args: []string{
			"--root", "/run/podman/root", "--runroot", "/run/podman/run", "--tmpdir", "/run/podman/tmp",
			"--storage-driver", "overlay",
		},
		root: rootfs(t),
	}
}

func (p *podman) do(t *testing.T, args ...string) (string, error) {
	t.Helper()
	out, err := run(t, p.env, "podman", slices.Concat(p.args, args)...)
	return strings.TrimSpace(out), err
}

// run starts a container, a server, and returns its ID.
func (p *podman) run(t *testing.T, args ...string) (string, error) {
	t.Helper()
	return p.do(t, slices.Concat([]string{"run", "-d", "--net", network, "--cgroup-parent", cgroupParent(t)}, args,
		[]string{"--rootfs", p.root, "/pod", "serve", "80"})...)
}

// life plays the life of a container.
func (p *podman) life(t *testing.T, args []string, check func(*testing.T, string)) {
	t.Helper()
	id, err := p.run(t, args...)
	testns.Must(t, err)
	counts(t, pinned(t, id), p.send, id)
	check(t, id)
	p.remove(t, id)
	nothingLeft(t)
	if n := len(deletions(t, id)); n != 1 {
		t.Errorf("calls of DEL: got %d, want 1", n)
	}
}

func (p *podman) remove(t *testing.T, id string) {
	t.Helper()
	if _, err := p.do(t, "rm", "-f", "-t", "0", id); err != nil {
		t.Fatal(err)
	}
}

// tooNew gives podman a network in a version that its libcni does not have.
func (p *podman) tooNew(t *testing.T) {
	t.Helper()
	works(t, podmanSubject, "cniVersion 1.1.0 is refused")
	write(t, confDir+"/10-runtimes.conflist", conflist("1.1.0", ours))
	_, err := p.run(t)
	t.Logf("podman run: %v", err)
	if err == nil {
		t.Error("running a container with cniVersion 1.1.0: got success, want an error")
	}
	nothingLeft(t)
}

// ignoresDropIns runs a container where plugins are only in drop-in files.
func (p *podman) ignoresDropIns(t *testing.T) {
	t.Helper()
	works(t, podmanSubject, "drop-in files are ignored: containers run without bpffs")
	writeDropIns(t)
	write(t, confDir+"/10-runtimes.conflist", bridgeOnly)
	id, err := p.run(t)
	testns.Must(t, err)
	if all := endpoints(t); len(all) > 0 {
		t.Errorf("endpoints: got %v, want none", all)
	}
	p.remove(t, id)
}

// send sends packets from a container.
func (p *podman) send(t *testing.T, id string, packets int) {
	t.Helper()
	if _, err := p.do(t, "exec", id, "/pod", "send", gateway, strconv.Itoa(packets)); err != nil {
		t.Fatal(err)
	}
}

// published asks the server in the container, by the port of the node.
func published(t *testing.T, _ string) {
	t.Helper()
	conn, err := net.Dial("tcp", net.JoinHostPort(gateway, "8080"))
	testns.Must(t, err)
	defer conn.Close()
	if answer, err := io.ReadAll(conn); err != nil || string(answer) != "hello\n" {
		t.Errorf("answer of the container: got %q (%v), want hello", answer, err)
	}
}
