package runtimes

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/test/internal/plugintest"
)

// The DaemonSet's pods release what lost pods left: without a capability, the CRI socket
// or a person. The image has a bpffsctl that takes a pod for lost after seconds.

func TestLostPods16(t *testing.T) {
	if onNode(t) {
		lostPods(t, newContainerd(t, "1.6"))
	}
}

func TestLostPods24(t *testing.T) {
	if onNode(t) {
		lostPods(t, newContainerd(t, "2.4"))
	}
}

func lostPods(t *testing.T, rt *containerd) {
	t.Helper()
	works(t, rt.subject(), "the image as the DaemonSet runs it: releases the endpoint of a lost pod, keeps those of others")
	rt.network(t, conflist("1.0.0", ours))
	runs, lost := rt.newPod(t, "runs"), rt.newPod(t, "lost")
	must(t, runs.run)
	must(t, lost.run)
	alone := conflist("1.0.0")
	rt.network(t, alone) // so that no DEL comes
	lost.end(t)
	left := pinned(t, lost.id)
	rt.importInstaller(t, bins+"/runtimes/own/bpffsctl")
	installer, container := rt.installs(t, "first")
	released(t, installer, lost.id, left.Details.NetNS)
	for _, path := range left.Pins {
		if _, err := os.Lstat(path); err == nil {
			t.Errorf("pins of the lost pod: got %s, want none", path)
		}
	}
	pinned(t, runs.id)
	if says, _ := rt.exec(t, container, "/bpffsctl", "list", "--root", "/host/sys/fs/bpf", "--conf-dir", "/host/etc/cni/net.d"); !strings.Contains(says, "unreadable") || !strings.Contains(says, "operation not permitted") {
		t.Errorf("opening a map in the container: got %q, want that it is not permitted", says)
	}
	t.Logf("working set of the container: %d KiB", rt.workingSet(t, container)>>10)
	rt.takesPlugin(t, alone)
	runs.end(t)
	nothingLeft(t)
	installer.end(t)
	rt.comesLater(t)
}

// comesLater starts the pod before there is a bpffs: in the one that the plugin mounts
// then lost endpoints are released, too. The directory of network namespaces becomes a
// mount then, for "ip netns" makes it one.
func (c *containerd) comesLater(t *testing.T) {
	t.Helper()
	testns.Must(t, unix.Unmount(bpfRoot, 0))
	installer, _ := c.installs(t, "second")
	waitFor(t, "it to look at the node", func() bool { return strings.Contains(said(t, installer), "changed ") })
	mustRun(t, "ip", "netns", "add", "later")
	plugin := plugintest.Plugin{Argv: []string{cniBin + "/bpffs"}}
	plugin.Add(t, plugintest.Conf(), "CNI_CONTAINERID=later", "CNI_NETNS=/var/run/netns/later")
	if _, ok := endpoints(t)["later"]; !ok {
		t.Fatalf("endpoints: got %v, want that of the new pod", endpoints(t))
	}
	mustRun(t, "ip", "netns", "delete", "later")
	released(t, installer, "later", "/var/run/netns/later")
	installer.end(t)
}

// installs starts a pod as the DaemonSet has it, and returns its container, too.
func (c *containerd) installs(t *testing.T, name string) (installer *pod, container string) {
	t.Helper()
	c.rewrite(t, conflist("1.0.0"))
	installer = c.newPod(t, name)
	installer.config.LogDirectory = t.TempDir()
	installer.namespaces().Network = cri.NamespaceMode_NODE
	must(t, installer.run)
	return installer, installer.containerLike(t, deploymentIn(t, "overlays/kubeadm"))
}

// released waits until the endpoint of the container is released, and the log says why.
func released(t *testing.T, installer *pod, container, netns string) {
	t.Helper()
	waitFor(t, "the release of the lost endpoint", func() bool { _, ok := endpoints(t)[container]; return !ok })
	waitFor(t, "the log to say so", func() bool {
		return strings.Contains(said(t, installer), "released endpoint ") && strings.Contains(said(t, installer), netns+" has been gone for")
	})
}

func said(t *testing.T, installer *pod) string {
	t.Helper()
	log, err := os.ReadFile(filepath.Join(installer.config.LogDirectory, "installer.log"))
	testns.Must(t, err)
	return string(log)
}
