package integration

import (
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// writeChain writes the configuration of a network with bridge, host-local, a
// recorder, bpffs and another recorder, whose further keys are last.
func writeChain(t *testing.T, version string, last keys) {
	t.Helper()
	after := keys{"type": recorder, "label": "after"}
	maps.Copy(after, last)
	text, err := json.Marshal(keys{"cniVersion": version, "name": "chain", "plugins": []keys{
		{"type": "bridge", "bridge": "cni-test0", "isGateway": true, "ipam": keys{
			"type": "host-local", "subnet": "10.77.0.0/24", "routes": []keys{{"dst": "0.0.0.0/0"}},
		}},
		{"type": recorder, "label": "before"},
		{"type": "bpffs", "maps": []keys{
			{"name": "calls_"}, {"name": "stats_", "type": "array", "keySize": 4, "valueSize": 8, "maxEntries": 1},
		}},
		after,
	}})
	must(t, err)
	must(t, os.WriteFile(filepath.Join(confDir, "10-chain.conflist"), text, 0o600))
}

func cnitool(t *testing.T, verb, netns string) answer {
	t.Helper()
	cmd := exec.Command(filepath.Join(cniDir, "cnitool"), verb, "chain", netns)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "CNI_PATH=" + cniDir + ":" + ownDir, "NETCONFPATH=" + confDir}
	return run(t, cmd)
}

// mustCnitool wants cnitool to succeed and returns what it prints.
func mustCnitool(t *testing.T, verb, netns string) string {
	t.Helper()
	a := cnitool(t, verb, netns)
	if a.status != 0 {
		t.Fatalf("cnitool %s: got %+v, want success", verb, a)
	}
	return a.stdout
}

func TestChain(t *testing.T) {
	for _, tt := range []struct {
		version string
		verbs   []string // that reach the plugins
	}{
		{"0.3.1", []string{"ADD", "DEL", "DEL"}},
		{"0.4.0", []string{"ADD", "CHECK", "DEL", "DEL"}},
		{"1.0.0", []string{"ADD", "CHECK", "DEL", "DEL"}},
		{"1.1.0", []string{"STATUS", "ADD", "CHECK", "DEL", "DEL", "GC", "STATUS"}},
	} {
		t.Run(tt.version, func(t *testing.T) {
			newNode(t)
			writeChain(t, tt.version, nil)
			pod := newPod(t, "pod")
			mustCnitool(t, "status", pod)
			result := mustCnitool(t, "add", pod)
			checkHandedOn(t, result)
			if a := cnitool(t, "check", pod); (a.status == 0) != (tt.version != "0.3.1") {
				t.Errorf("cnitool check: got %+v, want success unless the version has no CHECK", a)
			}
			for _, verb := range []string{"del", "del", "gc", "status"} {
				mustCnitool(t, verb, pod)
			}
			nothingLeft(t, defaultRoot)
			if diff := cmp.Diff(tt.verbs, verbs(t, "after")); diff != "" {
				t.Errorf("verbs that the plugin after bpffs got (-want +got):\n%s", diff)
			}
		})
	}
}

// checkHandedOn wants the plugin after bpffs to have got what the one before it
// got and exactly the recorded paths, and result to be the same.
func checkHandedOn(t *testing.T, result string) {
	t.Helper()
	before, after, final := decode(t, added(t, "before")), decode(t, added(t, "after")), decode(t, result)
	recorded := endpoints(t, defaultRoot)
	if len(recorded) != 1 || len(recorded[0].Pins) != 2 {
		t.Fatalf("recorded: got %v, want one endpoint with two pins", recorded)
	}
	interfaces, _ := before["interfaces"].([]any)
	for _, pin := range recorded[0].Pins {
		interfaces = append(interfaces, map[string]any{"name": pin})
	}
	before["interfaces"] = interfaces
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("result after bpffs (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(before["interfaces"], final["interfaces"]); diff != "" {
		t.Errorf("interfaces that the runtime gets (-want +got):\n%s", diff)
	}
}

func decode(t *testing.T, text string) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return v
}

// TestChainCrash: cnitool gc sends no list of what is valid, but libcni itself
// deletes what it has cached.
func TestChainCrash(t *testing.T) {
	newNode(t)
	writeChain(t, "1.1.0", nil)
	mustCnitool(t, "add", newPod(t, "a"))
	mustCnitool(t, "add", newPod(t, "b"))
	if n := len(left(t, defaultRoot)); n == 0 {
		t.Fatal("two pods: got no records, want some")
	}
	mustCnitool(t, "gc", "/run/netns/a")
	nothingLeft(t, defaultRoot)
}
