package runtimes

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// A cluster has two nodes: that of the test, with all programs that a cluster has once,
// and another one.
type cluster struct {
	rt     *containerd // of the first node
	nodes  []clusterNode
	others uint32 // a map that no other pod may use
}

// A clusterNode is a node of the cluster, seen from any.
type clusterNode struct {
	name     string
	pid      int      // of a process in its namespaces
	programs []string // that were there before bpffs
}

// newCluster starts one, whose nodes have no network yet.
func newCluster(t *testing.T) *cluster {
	t.Helper()
	startAPIServer(t)
	startControllers(t)
	writeImages(t)
	second := startSecondNode(t)
	c := &cluster{
		rt:    joinCluster(t, nodeName, nodeIP),
		nodes: []clusterNode{{name: nodeName, pid: os.Getpid()}, {name: secondName, pid: second}},
	}
	for i, n := range c.nodes {
		waitWithin(t, clusterTime, "the node "+n.name, func() bool { return kubectl(t, nil, "get", "node", n.name).Status == 0 })
		c.nodes[i].programs = names(t, n.path(usualBin))
	}
	mustKubectl(t, "create", "namespace", delegated)
	return c
}

// writeImages writes the images that every node imports.
func writeImages(t *testing.T) {
	t.Helper()
	testns.Must(t, os.Mkdir(clusterImages, 0o755))
	for name, archive := range map[string]string{
		"app": writeImage(t, appImage, map[string]string{
			"pod": bins + "/runtimes/own/pod", "example": buildGo(t, snippets(t, podsPage, "go")[0]),
		}),
		good:   writeInstaller(t, installerName+":"+good, bins+"/bpffs", bins+"/bpffsctl"),
		broken: writeInstaller(t, installerName+":"+broken, brokenPlugin(t), bins+"/bpffsctl"),
	} {
		testns.Must(t, os.Rename(archive, filepath.Join(clusterImages, name)))
	}
}

// joinCluster makes the node of the test one of the cluster.
func joinCluster(t *testing.T, name, ip string) *containerd {
	t.Helper()
	usualDirectories(t)
	kubeletOnDisk(t)
	kubeletNode(t)
	rt := newContainerd(t, "2.4", cniBin, usualBin, confDir, usualConf)
	for _, name := range names(t, clusterImages) {
		rt.importImage(t, filepath.Join(clusterImages, name))
	}
	runKubelet(t, name, ip, "--kubeconfig="+adminConfig)
	return rt
}

// The directories that most nodes have.
const (
	usualBin  = "/opt/cni/bin"
	usualConf = "/etc/cni/net.d"
)

// usualDirectories gives them to the node, and the socket, so that nobody has to be
// told about them.
func usualDirectories(t *testing.T) {
	t.Helper()
	testns.Must(t, os.Remove(cniBin+"/bpffs")) // a link to what was built
	copyInPlace(t, "/etc")
	testns.Mount(t, "tmpfs", "/opt", "mode=0755")
	testns.Must(t, errors.Join(os.RemoveAll("/etc/cni"), os.MkdirAll(usualConf, 0o755), os.MkdirAll(usualBin, 0o755)))
	testns.Bind(t, confDir, usualConf)
	testns.Bind(t, cniBin, usualBin)
	testns.Must(t, errors.Join(os.MkdirAll("/run/containerd", 0o711), os.Symlink(socket, "/run/containerd/containerd.sock")))
}

// path returns where another node has a file of this one.
func (n clusterNode) path(file string) string { return fmt.Sprintf("/proc/%d/root%s", n.pid, file) }

// bpffsctl runs it on the node.
func (n clusterNode) bpffsctl(t *testing.T, args ...string) {
	t.Helper()
	mustRun(t, "nsenter", append([]string{"--target=" + strconv.Itoa(n.pid), "--mount", "--net", bins + "/bpffsctl"}, args...)...)
}

// mainNetwork is what the main plugin of the nodes writes.
func mainNetwork() string { return conflist("1.1.0") }

// writeNetwork writes it.
func (n clusterNode) writeNetwork(t *testing.T) {
	t.Helper()
	replaceFile(t, n.path(usualConf+"/"+networkFile), mainNetwork())
}

// network returns the file as it is now.
func (n clusterNode) network(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(n.path(usualConf + "/" + networkFile))
	testns.Must(t, err)
	return string(text)
}
