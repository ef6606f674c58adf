package runtimes

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

const (
	kubelet   = "kubelet 1.34" // in the table
	manifests = "/run/node/manifests"
	nodeName  = "node"
	nodeIP    = "10.244.80.1"
)

// TestKubelet lets kubelet, without an API server, make a pod of a manifest and
// delete it when the manifest goes.
func TestKubelet(t *testing.T) {
	needCluster(t)
	if !onNode(t) {
		return
	}
	rt := newContainerd(t, "2.4")
	rt.network(t, conflist("1.1.0", ours))
	startKubelet(t)
	t.Run("life", func(t *testing.T) {
		works(t, kubelet, "a static pod on containerd 2.4, from its manifest to its removal, packets counted; node and pod events stay clean")
		staticPod(t, rt, "life", func() {})
		cleanEvents(t)
		note(t, kubelet, "verbs that plugins get", verbs(t))
	})
	t.Run("later plugin fails", func(t *testing.T) {
		works(t, kubelet, "ADD fails in a later plugin: kubelet says so, and tries again until the pod runs")
		write(t, failFile, "")
		staticPod(t, rt, "failing", func() {
			waitFor(t, "an event of the failure", func() bool { return len(events(t, "FailedCreatePodSandBox")) > 0 })
			nothingLeft(t)
			testns.Must(t, os.Remove(failFile))
		})
	})
}

// staticPod plays the life of a pod: its manifest comes, something happens, the pod
// runs and sends, the manifest goes, the pod is gone.
func staticPod(t *testing.T, rt *containerd, name string, happens func()) {
	t.Helper()
	manifest := filepath.Join(manifests, name+".yaml")
	write(t, manifest, strings.ReplaceAll(config(t, "static-pod.yaml"), "NAME", name))
	happens()
	container := rt.runningContainer(t)
	sandbox := container.GetPodSandboxId()
	rt.isMountedFor(t)
	ep := pinned(t, sandbox)
	if all := endpoints(t); len(all) != 1 {
		t.Errorf("endpoints: got %v, want one", all)
	}
	counts(t, ep, (&pod{rt: rt}).send, container.GetId())
	t.Logf("endpoint %d of sandbox %s: %q, %d packets counted", ep.ID, sandbox, ep.Pins, sent(t, ep))
	testns.Must(t, os.Remove(manifest))
	waitFor(t, "kubelet to delete the pod", func() bool {
		left, err := filepath.Glob("/var/lib/kubelet/pods/*")
		return err == nil && len(left) == 0
	})
	if dels := deletions(t, sandbox); len(dels) == 0 || dels[0].NetNS == "" {
		t.Errorf("calls of DEL: got %+v, want one with netns", dels)
	}
	nothingLeft(t)
}

// config returns one of the files in the directory of that name.
func config(t *testing.T, name string) string {
	t.Helper()
	content, err := files.ReadFile("config/" + name)
	testns.Must(t, err)
	return string(content)
}

// startKubelet starts a kubelet that has no API server, and returns what stops it.
func startKubelet(t *testing.T) (stop func()) {
	t.Helper()
	nodeAddress(t)
	kubeletNode(t)
	return runKubelet(t, nodeName, nodeIP)
}

// kubeletNode makes the node one for kubelet.
func kubeletNode(t *testing.T) {
	t.Helper()
	keepKernel(t)
	testns.Must(t, unix.Mount("tmpfs", "/var/log", "tmpfs", 0, ""))
	testns.Must(t, os.MkdirAll(manifests, 0o755))
	write(t, "/run/kubelet.yaml", strings.ReplaceAll(config(t, "kubelet.yaml"), "/CGROUP", cgroupParent(t)))
}

// runKubelet starts kubelet, and returns what stops it; the end of the test does, too.
// Pods go on.
func runKubelet(t *testing.T, name, ip string, args ...string) (stop func()) {
	t.Helper()
	return daemon(t, "kubelet", append([]string{
		"--config=/run/kubelet.yaml", "--hostname-override=" + name, "--node-ip=" + ip, "--v=3", // 3 has the events
	}, args...)...)
}

// keepKernel hides from kubelet the settings that it would change for the whole
// host: it finds them as it wants them. A pod in a user namespace can mount /proc only
// where the node has one without anything over it.
func keepKernel(t *testing.T) {
	t.Helper()
	for setting, value := range map[string]string{
		"vm/overcommit_memory":      "1",
		"vm/panic_on_oom":           "0",
		"kernel/panic":              "10",
		"kernel/panic_on_oops":      "1",
		"kernel/keys/root_maxkeys":  "1000000",
		"kernel/keys/root_maxbytes": "25000000",
	} {
		file := filepath.Join("/run/node/sys", setting)
		write(t, file, value+"\n")
		if err := unix.Mount(file, filepath.Join("/proc/sys", setting), "", unix.MS_BIND, ""); err != nil {
			t.Fatal(&os.PathError{Op: "bind", Path: setting, Err: err})
		}
	}
	const whole = "/run/node/proc"
	testns.Must(t, os.MkdirAll(whole, 0o755))
	testns.Must(t, unix.Mount("proc", whole, "proc", 0, ""))
}

// runningContainer waits until there is a container that runs.
func (c *containerd) runningContainer(t *testing.T) (running *cri.Container) {
	t.Helper()
	isRunning := &cri.ContainerStateValue{State: cri.ContainerState_CONTAINER_RUNNING}
	waitFor(t, "kubelet to start the pod", func() bool {
		list, err := c.cri.ListContainers(t.Context(), &cri.ListContainersRequest{Filter: &cri.ContainerFilter{State: isRunning}})
		testns.Must(t, err)
		for _, running = range list.GetContainers() {
			return true
		}
		return false
	})
	return running
}

// events returns the lines of kubelet's log that match the expression.
func events(t *testing.T, expression string) (lines []string) {
	t.Helper()
	log, err := os.ReadFile(daemonLog("kubelet"))
	testns.Must(t, err)
	is := regexp.MustCompile(expression)
	for line := range strings.Lines(string(log)) {
		if is.MatchString(line) {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

// cleanEvents reports the warnings among kubelet's events, and the errors in its
// log that have to do with networks.
func cleanEvents(t *testing.T) {
	t.Helper()
	if len(events(t, `"Event occurred".*kind="Pod".*reason="Started"`)) == 0 {
		t.Error("events of the start of the pod in kubelet's log: got none, want one: are there events at all?")
	}
	const network = `^E.*([cC][nN][iI]|[nN]etwork|[sS]andbox)`
	// Not all hosts have cgroups of version 2, and ours appears with the first pod.
	known := regexp.MustCompile(`reason="(CgroupV1|FailedNodeAllocatableEnforcement)"`)
	for _, line := range events(t, `"Event occurred".*type="Warning"|FailedCreatePodSandBox|NetworkNotReady|`+network) {
		if !known.MatchString(line) {
			t.Errorf("in kubelet's log: got %s, want no such line", line)
		}
	}
	for _, line := range events(t, `"Event occurred".*kind="Pod"`) {
		t.Log(line)
	}
}
