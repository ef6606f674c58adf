package integration

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/containernetworking/cni/libcni"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/test/internal/node"
)

// nerdctl calls the plugins from hooks of the OCI runtime: createRuntime sends a DEL
// and an ADD, postStop a DEL. No DEL has a network namespace. libcni gets the bytes of
// the network's list, so that it reads no drop-in file.

// A nerdctlContainer is one of nerdctl's: a process in a network namespace of its own.
type nerdctlContainer struct {
	id  string // with nerdctl's namespace before it
	pid int
}

func newContainer(t *testing.T, namespace string) *nerdctlContainer {
	t.Helper()
	c := &nerdctlContainer{id: namespace + "-" + strings.Repeat("3f0c9a7e", 8)}
	c.run(t)
	return c
}

// run makes the process, anew after a restart.
func (c *nerdctlContainer) run(t *testing.T) {
	t.Helper()
	cmd := exec.Command("sleep", "infinity")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	testns.Must(t, cmd.Start())
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	c.pid = cmd.Process.Pid
}

func (c *nerdctlContainer) netns() string { return fmt.Sprintf("/proc/%d/ns/net", c.pid) }

func (c *nerdctlContainer) conf(netns, ifName string) *libcni.RuntimeConf {
	args := [][2]string{{"IgnoreUnknown", "1"}, {"NERDCTL_CNI_DHCP_HOSTNAME", "web"}}
	return &libcni.RuntimeConf{ContainerID: c.id, NetNS: netns, IfName: ifName, Args: args}
}

// created is the hook createRuntime for one of the container's networks.
func (c *nerdctlContainer) created(t *testing.T, n network, ifName string) error {
	t.Helper()
	err := n.DelNetworkList(t.Context(), n.list, c.conf("", ifName))
	if err != nil {
		return err
	}
	_, err = n.AddNetworkList(t.Context(), n.list, c.conf(c.netns(), ifName))
	return err
}

// stopped is the hook postStop. Nobody has an endpoint after it.
func (c *nerdctlContainer) stopped(t *testing.T, n network) {
	t.Helper()
	testns.Must(t, n.DelNetworkList(t.Context(), n.list, c.conf("", "eth0")))
	node.NothingLeft(t, defaultRoot)
}

// fromBytes returns the network as nerdctl and Nomad have it.
func fromBytes(t *testing.T, n network, replace ...string) network {
	t.Helper()
	list, err := libcni.NetworkConfFromBytes([]byte(strings.NewReplacer(replace...).Replace(string(n.list.Bytes))))
	testns.Must(t, err)
	return network{n.CNIConfig, list}
}

func TestNerdctl(t *testing.T) {
	for name, play := range map[string]func(*testing.T, network){
		"life":                       nerdctlLife,
		"containerd restarted":       nerdctlRestart,
		"start that fails":           nerdctlFailing,
		"same ID in two namespaces":  nerdctlNamespaces,
		"two networks at once":       nerdctlNetworks,
		"drop-in files are not read": nerdctlDropIn,
	} {
		t.Run(name, func(t *testing.T) {
			newNode(t)
			play(t, fromBytes(t, loadChain(t, "1.0.0")))
		})
	}
}

func nerdctlLife(t *testing.T, n network) {
	t.Helper()
	c := newContainer(t, "default")
	testns.Must(t, c.created(t, n, "eth0"))
	if got := len(paths(t, added(t, "after"))); got != 2 {
		t.Errorf("paths that the next plugin got: got %d, want 2", got)
	}
	ep := endpoints(t, defaultRoot)[0]
	if ep.Attachment.ContainerID != c.id || ep.Details.NetNS != c.netns() {
		t.Errorf("record: got %+v, want the container %s in %s", ep, c.id, c.netns())
	}
	c.stopped(t, n)
	c.stopped(t, n) // by nerdctl rm
}

// nerdctlRestart: containerd starts the container again, and nobody has sent a DEL.
func nerdctlRestart(t *testing.T, n network) {
	t.Helper()
	c := newContainer(t, "default")
	testns.Must(t, c.created(t, n, "eth0"))
	before := endpoints(t, defaultRoot)[0]
	c.run(t)
	testns.Must(t, c.created(t, n, "eth0"))
	after := endpoints(t, defaultRoot)[0]
	if after.Details.NetNS != c.netns() {
		t.Errorf("network namespace in the record: got %s, want that of the new process, %s", after.Details.NetNS, c.netns())
	}
	for path, id := range before.MapIDs {
		if after.MapIDs[path] == id {
			t.Errorf("map at %s: got %d as before the restart, want a new one", path, id)
		}
	}
	c.stopped(t, n)
}

func nerdctlFailing(t *testing.T, n network) {
	t.Helper()
	c := newContainer(t, "default")
	failLater(t, true)
	if err := c.created(t, n, "eth0"); err == nil {
		t.Fatal("ADD with a later plugin that fails: got success, want an error")
	}
	failLater(t, false)
	c.run(t)
	testns.Must(t, c.created(t, n, "eth0"))
	c.stopped(t, n)
}

func nerdctlNamespaces(t *testing.T, n network) {
	t.Helper()
	one, two := newContainer(t, "default"), newContainer(t, "k8s.io")
	testns.Must(t, errors.Join(one.created(t, n, "eth0"), two.created(t, n, "eth0")))
	testns.Must(t, n.DelNetworkList(t.Context(), n.list, one.conf("", "eth0")))
	left := endpoints(t, defaultRoot)
	if len(left) != 1 || left[0].Attachment.ContainerID != two.id {
		t.Errorf("endpoints after the end of %s: got %+v, want that of %s", one.id, left, two.id)
	}
	two.stopped(t, n)
}

func nerdctlNetworks(t *testing.T, n network) {
	t.Helper()
	c, second := newContainer(t, "default"), fromBytes(t, n, `"chain"`, `"second"`)
	var errs [2]error
	var both sync.WaitGroup
	both.Go(func() { errs[0] = c.created(t, n, "eth0") })
	both.Go(func() { errs[1] = c.created(t, second, "eth1") })
	both.Wait()
	testns.Must(t, errors.Join(errs[:]...))
	if got := len(endpoints(t, defaultRoot)); got != 2 {
		t.Errorf("endpoints of a container in two networks: got %d, want 2", got)
	}
	testns.Must(t, second.DelNetworkList(t.Context(), second.list, c.conf("", "eth1")))
	c.stopped(t, n)
}

func nerdctlDropIn(t *testing.T, n network) {
	t.Helper()
	dropIn := conf(keys{"name": nil, "prevResult": nil, "maps": []keys{{"name": "dropin_"}}})
	testns.Must(t, node.Configure("chain/bpffs.conf", []byte(dropIn)))
	whole, err := libcni.LoadNetworkConf(node.ConfDir, "chain")
	testns.Must(t, err)
	if got, want := len(whole.Plugins), len(n.list.Plugins)+1; got != want {
		t.Fatalf("plugins with the drop-in file: got %d, want %d", got, want)
	}
	c := newContainer(t, "default")
	n = fromBytes(t, network{n.CNIConfig, whole})
	testns.Must(t, c.created(t, n, "eth0"))
	if got := endpoints(t, defaultRoot)[0].Pins; len(got) != 2 {
		t.Errorf("pins of the container: got %q, want the two of the list", got)
	}
	c.stopped(t, n)
}
