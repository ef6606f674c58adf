package runtimes

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// A volumeManifest is of a pod with a volume, which kubelet makes.
type volumeManifest struct {
	kind      volumePod
	rt        *containerd
	container *cri.Container
	uid       string
	mapID     uint32
}

func (m *volumeManifest) file() string { return filepath.Join(manifests, m.kind.name+".yaml") }

// start gives kubelet the manifest.
func (m *volumeManifest) start(t *testing.T) {
	t.Helper()
	namespace, medium, security := "default", "", "{runAsUser: 1000, runAsNonRoot: true, allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}"
	if m.kind.token {
		namespace, security = delegated, "{capabilities: {drop: [ALL], add: [BPF, NET_ADMIN]}}"
	}
	if m.kind.memory {
		medium = "Memory"
	}
	write(t, m.file(), strings.NewReplacer("NAMESPACE", namespace, "NAME", m.kind.name, "MEDIUM", medium,
		"HOSTUSERS", fmt.Sprint(!m.kind.userNS), "SECURITY", security).Replace(config(t, "volume-pod.yaml")))
}

// await waits until the pod runs.
func (m *volumeManifest) await(t *testing.T, limit uint64) {
	t.Helper()
	waitFor(t, "kubelet to start "+m.kind.name, func() bool {
		list, err := m.rt.cri.ListContainers(t.Context(), &cri.ListContainersRequest{Filter: &cri.ContainerFilter{
			State:         &cri.ContainerStateValue{State: cri.ContainerState_CONTAINER_RUNNING},
			LabelSelector: map[string]string{"io.kubernetes.pod.name": m.kind.name + "-node", "io.kubernetes.container.name": "main"},
		}})
		testns.Must(t, err)
		for _, m.container = range list.GetContainers() {
			return true
		}
		return false
	})
	m.uid = m.container.GetLabels()["io.kubernetes.pod.uid"]
	m.mapID = limitedTo(t, pinned(t, m.container.GetPodSandboxId()), limit)
}

// delete takes the manifest away.
func (m *volumeManifest) delete(t *testing.T) {
	t.Helper()
	testns.Must(t, os.Remove(m.file()))
}

// isGone reports whether kubelet has removed all of the pod.
func (m *volumeManifest) isGone() bool {
	_, err := os.Lstat(filepath.Join(kubeletDir, "pods", m.uid))
	return os.IsNotExist(err)
}

func (m *volumeManifest) wantGone(t *testing.T) {
	t.Helper()
	const attempts = 3 * time.Minute // kubelet waits up to two between two
	waitWithin(t, attempts, "kubelet to remove "+m.kind.name, m.isGone)
	wantGone(t, m.mapID)
}

// TestKubeletVolumes: pods that kubelet makes see their maps, and nothing of them stays.
func TestKubeletVolumes(t *testing.T) {
	needCluster(t)
	if !onNode(t) {
		return
	}
	needTokens(t)
	rt := newContainerd(t, "2.4")
	kubeletOnDisk(t)
	rt.network(t, conflist("1.1.0", volumes))
	stop := startKubelet(t)
	var pods []*volumeManifest
	for _, kind := range everyPod() {
		pods = append(pods, &volumeManifest{kind: kind, rt: rt})
	}
	for i, m := range pods {
		m.start(t)
		m.await(t, limitOf(i))
	}
	for _, step := range []struct {
		name, feature string
		before        func()
	}{
		{"see", "a pod with the volume: init and other containers see what they are meant to", func() {}},
		{"restart", "a pod with the volume: kubelet restarted under the pod", func() { stop(); stop = runKubelet(t, nodeName, nodeIP) }},
	} {
		t.Run(step.name, func(t *testing.T) {
			works(t, kubelet, step.feature+"; "+everyKind)
			step.before()
			lookAtAll(t, pods)
		})
	}
	t.Run("end", func(t *testing.T) {
		works(t, kubelet, "a pod with the volume is deleted: nothing is left")
		for _, m := range pods {
			m.delete(t)
		}
		for _, m := range pods {
			m.wantGone(t)
		}
		nothingLeft(t)
	})
	t.Run("plugin gone", func(t *testing.T) { pluginGone(t, pods) })
	t.Run("uninstalled", func(t *testing.T) { uninstalled(t, pods) })
}

// abilities is what the containers of the pod see.
func (m *volumeManifest) abilities(limit uint64) abilities {
	return abilities{limit: limit, token: m.kind.token, loads: m.kind.token, attaches: m.kind.token}
}

// wantInit wants the init container to have seen the same, before there was a limit.
func (m *volumeManifest) wantInit(t *testing.T) {
	t.Helper()
	logs, err := filepath.Glob("/var/log/pods/*_" + m.uid + "/init/0.log")
	if err != nil || len(logs) != 1 {
		t.Fatalf("logs of the init container of %s: got %q (%v), want one", m.kind.name, logs, err)
	}
	log, err := os.ReadFile(logs[0])
	testns.Must(t, err)
	_, said, _ := strings.Cut(string(log), " stdout F ")
	got := make(map[string]string)
	testns.Must(t, json.Unmarshal([]byte(said), &got))
	if diff := cmp.Diff(m.abilities(0).want(got), got); diff != "" {
		t.Errorf("how attempts end in the init container of %s (-want +got):\n%s", m.kind.name, diff)
	}
}

// limitOf is what the map of a pod has.
func limitOf(pod int) uint64 { return uint64(pod) + 1 }

func lookAtAll(t *testing.T, pods []*volumeManifest) {
	t.Helper()
	for i, m := range pods {
		t.Log(m.kind.name)
		m.wantInit(t)
		others := pods[(i+1)%len(pods)].mapID
		m.rt.wantAbilities(t, m.container.GetId(), others, m.abilities(limitOf(i)))
	}
}

// pluginGone deletes pods while the plugin is away.
func pluginGone(t *testing.T, pods []*volumeManifest) {
	t.Helper()
	works(t, kubelet, "a pod with the volume is deleted while the plugin is gone: kubelet tries again until it is back")
	const plugin, away = cniBin + "/bpffs", "/run/node/bpffs-away"
	for i, m := range pods {
		m.start(t)
		m.await(t, limitOf(i))
	}
	testns.Must(t, os.Rename(plugin, away))
	before := len(events(t, "KillPodSandboxError|failed to destroy network"))
	for _, m := range pods {
		m.delete(t)
	}
	waitFor(t, "kubelet to say that it cannot stop the sandboxes", func() bool {
		return len(events(t, "KillPodSandboxError|failed to destroy network")) > before+len(pods)
	})
	for _, m := range pods {
		if m.isGone() {
			t.Errorf("%s without the plugin: got it removed, want its volume there", m.kind.name)
		}
	}
	testns.Must(t, os.Rename(away, plugin))
	for _, m := range pods {
		m.wantGone(t)
	}
	nothingLeft(t)
}

// uninstalled deletes pods after the plugin was taken out of the network.
func uninstalled(t *testing.T, pods []*volumeManifest) {
	t.Helper()
	works(t, kubelet, "pods with the volume are deleted without a DEL: kubelet tries to remove the volumes until bpffsctl gc has unmounted")
	for i, m := range pods {
		m.start(t)
		m.await(t, limitOf(i))
	}
	pods[0].rt.network(t, bridgeOnly)
	for _, m := range pods {
		m.delete(t)
	}
	for _, m := range pods {
		waitFor(t, "kubelet to say that the volume stays", func() bool {
			return len(events(t, "some volumes have not been cleaned up.*"+m.uid)) > 0
		})
		must(t, (&pod{rt: m.rt, id: m.container.GetPodSandboxId()}).remove) // as kubelet does within a minute
		if m.isGone() {
			t.Errorf("%s without a DEL: got it removed, want its volume there", m.kind.name)
		}
	}
	ctl(t, 0, "gc", "--cri-socket", "unix://"+socket, "--older-than", "0s", "--network", network, "--allow-empty", "--yes", "--force")
	for _, m := range pods {
		m.wantGone(t)
	}
	nothingLeft(t)
}
