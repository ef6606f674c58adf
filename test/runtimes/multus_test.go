package runtimes

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	nadv1 "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

func TestMultus(t *testing.T) {
	if !onNode(t) {
		return
	}
	linkMultus(t)
	for _, tt := range []struct {
		name, feature string
		do            func(t *testing.T)
	}{
		{"two networks", "two networks of a pod, clusterNetwork a path: an endpoint in each, both in network-status", multusTwoNetworks},
		{"status", "network-status after each kind of main plugin: nothing is missing", multusStatus},
		{"own keys", "plugins get no CHECK, and their own keys in ADD only if clusterNetwork is a path, in all verbs if it is a name", multusOwnKeys},
		{"delegates", "delegates: plugins get CHECK, too, and their own keys in all verbs", multusDelegates},
		{"bpfRoot", "clusterNetwork a path, with bpfRoot: DEL finds the maps; GC and STATUS do not look at the root", multusRoot},
		{"auxiliary chain", "auxiliary chain: ADD and DEL, no GC, and no DEL after Multus lost its cache; network-status of the pod's networks as without", multusAuxiliary},
		{"broken chain", "auxiliary chain with a file that is broken: pods run without bpffs", multusBrokenChain},
		{"drop-in", "drop-in files beside the list of clusterNetwork: ADD and DEL", multusDropIn},
		{"failing", "ADD fails in the second network: nothing left", multusFailing},
		{"no API server", "DEL while there is no API server: nothing left", multusNoAPI},
		{"annotation", "pods cannot ask for maps: their annotations do not reach plugins", multusAnnotation},
	} {
		t.Run(tt.name, func(t *testing.T) {
			works(t, multusSubject, tt.feature)
			tt.do(t)
		})
	}
}

// secondNetwork is a network of its own, whose last plugin can be made to fail.
func secondNetwork() string {
	return fmt.Sprintf(`{"cniVersion": "1.1.0", "name": "second", "plugins": [{"type": "bridge", "bridge": "br2",
		"ipam": {"type": "host-local", "subnet": "10.244.81.0/24"}}, %s, {"type": "record", "log": %q, "failAdd": %q}]}`,
		mapsOf(2, ""), callLog, failFile)
}

func multusTwoNetworks(t *testing.T) {
	t.Helper()
	m := newMultus(t, byPath, mapsOf(2, ""))
	m.wants, m.networks["second"] = "second", secondNetwork()
	rt := m.pod(t, "two")
	m.add(t, rt)
	wantAttached(t, bpfRoot, "main eth0", "second net1")
	if got, err := addition(t, "two").Paths(); err != nil || len(got) != 2 {
		t.Errorf("paths that the last plugin of the second network got: %q (%v), want its two", got, err)
	}
	var got []string
	for _, s := range m.statuses(t) {
		got = append(got, fmt.Sprint(s.Name, " ", s.Interface, " ", s.IPs, " ", s.Default))
	}
	want := []string{"main eth0 [10.244.79.9] true", "default/second net1 [10.244.81.2] false"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("network-status (-want +got):\n%s", diff)
	}
	m.del(t, rt)
	nothingLeft(t)
}

func multusStatus(t *testing.T) {
	t.Helper()
	for _, a := range answers() {
		t.Run(a.name, func(t *testing.T) {
			without := newMultus(t, byPath).answered(t, "without", a)
			for maps := range 3 {
				m := newMultus(t, byPath, mapsOf(maps, ""))
				wantStatuses(t, without, m.answered(t, fmt.Sprint("with-", maps), a))
			}
			nothingLeft(t)
		})
	}
}

func multusOwnKeys(t *testing.T) {
	t.Helper()
	verbs := []string{"STATUS", "ADD", "DEL", "GC"}
	newMultus(t, byPath).everyVerb(t, "path")
	wantCalls(t, verbs, []string{"ADD"})
	m := newMultus(t, `"clusterNetwork": "main"`)
	m.networks["main"] = mainList()
	m.everyVerb(t, "name")
	wantCalls(t, verbs, verbs)
}

func multusDelegates(t *testing.T) {
	t.Helper()
	newMultus(t, `"delegates": [`+mainList(mapsOf(2, `, "bpfRoot": "/run/node/bpf"`))+`]`).everyVerb(t, "delegates")
	all := []string{"STATUS", "ADD", "CHECK", "DEL", "GC"}
	wantCalls(t, all, all)
	wantAttached(t, "/run/node/bpf")
}

func multusRoot(t *testing.T) {
	t.Helper()
	const root = "/run/node/custom"
	m := newMultus(t, byPath, mapsOf(1, `, "bpfRoot": "`+root+`"`))
	rt := m.pod(t, "root")
	m.add(t, rt)
	wantAttached(t, root, "main eth0")
	m.del(t, rt)
	wantAttached(t, root)

	m.add(t, m.pod(t, "lost"))
	m.forget(t, true)
	wantAttached(t, root, "main eth0")
	collect(t, root, "main")
	wantAttached(t, root)

	m = newMultus(t, byPath, mapsOf(1, ""))
	m.add(t, m.pod(t, "found"))
	m.forget(t, false)
	wantAttached(t, bpfRoot, "main eth0") // what Multus has in its cache is valid
	m.forget(t, true)
	nothingLeft(t)

	write(t, "/run/node/file", "")
	m = newMultus(t, byPath, mapsOf(1, `, "bpfRoot": "/run/node/file/bpf"`))
	testns.Must(t, m.cni.GetStatusNetworkList(t.Context(), m.list))
	if _, err := m.cni.AddNetworkList(t.Context(), m.list, m.pod(t, "unusable")); err == nil {
		t.Error("ADD where STATUS was sent without bpfRoot: got success, want an error")
	}
}

// auxiliaryChain puts files into the chain.
func auxiliaryChain(t *testing.T, files ...string) *multus {
	t.Helper()
	m := newMultus(t, byPath+`, "auxiliaryCNIChainName": "`+auxiliary+`"`)
	for i, file := range files {
		write(t, fmt.Sprintf("%s/%s/%d.conf", multusDir, auxiliary, i), file)
	}
	return m
}

func multusAuxiliary(t *testing.T) {
	t.Helper()
	without := newMultus(t, byPath).answered(t, "without", answers()[0])
	for maps := range 3 {
		want := slices.Clone(without)
		if maps == 1 { // Multus takes the only entry of a result for an interface of the pod
			want = append(want, &nadv1.NetworkStatus{Name: auxiliary})
		}
		m := auxiliaryChain(t, mapsOf(maps, ""))
		got := m.answered(t, fmt.Sprint("with-", maps), answers()[0])
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("network-status with %d maps (-want +got):\n%s", maps, diff)
		}
		nothingLeft(t)
	}
	m := auxiliaryChain(t, mapsOf(2, ""))
	rt := m.pod(t, "lost")
	m.add(t, rt)
	m.forget(t, true)
	m.del(t, rt) // of the networks that the pod would get now
	wantAttached(t, bpfRoot, auxiliary+" net1")
	collect(t, bpfRoot, auxiliary)
	nothingLeft(t)
}

// collect removes what is left of the pods of a network.
func collect(t *testing.T, root, network string) {
	t.Helper()
	ctl(t, 0, "gc", "--root", root, "--network", network, "--live-from", "/dev/null", "--allow-empty", "--older-than", "0s", "--force", "--yes")
}

func multusBrokenChain(t *testing.T) {
	t.Helper()
	m := auxiliaryChain(t, mapsOf(2, ""), `{"type":`)
	rt := m.pod(t, "broken")
	m.add(t, rt)
	wantAttached(t, bpfRoot)
	m.del(t, rt)
}

func multusDropIn(t *testing.T) {
	t.Helper()
	m := newMultus(t, byPath)
	write(t, multusDir+"/main/10-bpffs.conf", mapsOf(2, ""))
	rt := m.pod(t, "dropin")
	m.add(t, rt)
	wantAttached(t, bpfRoot, "main eth0")
	m.del(t, rt)
	nothingLeft(t)
}

func multusFailing(t *testing.T) {
	t.Helper()
	m := newMultus(t, byPath, mapsOf(2, ""))
	m.wants, m.networks["second"] = "second", secondNetwork()
	write(t, failFile, "")
	defer os.Remove(failFile)
	rt := m.pod(t, "failing")
	_, err := m.cni.AddNetworkList(t.Context(), m.list, rt)
	if err == nil || !strings.Contains(err.Error(), "record was told to fail") {
		t.Errorf("ADD: got the error %v, want that of the last plugin", err)
	}
	nothingLeft(t)
	m.del(t, rt)
}

func multusNoAPI(t *testing.T) {
	t.Helper()
	m := newMultus(t, byPath, mapsOf(2, ""))
	rt := m.pod(t, "alone")
	m.add(t, rt)
	m.server.Close()
	m.del(t, rt)
	nothingLeft(t)
}

func multusAnnotation(t *testing.T) {
	t.Helper()
	m := newMultus(t, byPath, `{"type": "bpffs", "capabilities": {"io.kubernetes.cri.pod-annotations": true}, "maps": [{"name": "flows_",
		"type": "hash", "keySize": 4, "valueSize": 8, "maxEntries": 16, "optional": {"maxEntries": 4096}}]}`)
	rt := m.pod(t, "asks")
	rt.CapabilityArgs = map[string]any{"io.kubernetes.cri.pod-annotations": map[string]string{"bpffs/maps": "flows_"}}
	m.add(t, rt)
	if found, err := filepath.Glob(mapDir + "/flows_*"); err != nil || len(found) > 0 {
		t.Errorf("maps of a pod that asks for one: got %q (%v), want none, for the documentation says so", found, err)
	}
	m.del(t, rt)
	nothingLeft(t)
}

// TestMultusUnderContainerd: containerd calls Multus, which takes its main network from
// the API server.
func TestMultusUnderContainerd(t *testing.T) {
	if !onNode(t) {
		return
	}
	works(t, multusSubject, "containerd 2.4, clusterNetwork by name: a pod from ADD to a DEL sent twice, packets counted")
	linkMultus(t)
	m := newMultus(t, `"clusterNetwork": "main"`)
	m.networks["main"] = conflist("1.0.0", ours)
	rt := newContainerd(t, "2.4")
	rt.network(t, string(m.list.Bytes))
	life(t, rt, "1.0.0")
}
