package integration

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/test/internal/node"
	"github.com/cni-bpffs/cni-bpffs/test/internal/plugintest"
	"github.com/cni-bpffs/cni-bpffs/test/internal/record"
)

// recorder is the CNI plugin that notes what it gets.
func recorder(label string) keys {
	return keys{"type": "record", "log": recordFile, "failAdd": failFile + label, "label": label}
}

// writeChain writes the configuration of a network with bridge, host-local, a
// recorder, bpffs and another recorder.
func writeChain(t *testing.T, version string) {
	t.Helper()
	text, err := json.Marshal(keys{"cniVersion": version, "name": "chain", "plugins": []keys{
		{"type": "bridge", "bridge": "cni-test0", "isGateway": true, "ipam": keys{
			"type": "host-local", "subnet": "10.77.0.0/24", "routes": []keys{{"dst": "0.0.0.0/0"}},
		}},
		recorder("before"),
		{"type": "bpffs", "maps": []keys{
			{"name": "calls_"}, {"name": "stats_", "type": "array", "keySize": 4, "valueSize": 8, "maxEntries": 1},
		}},
		recorder("after"),
	}})
	testns.Must(t, err)
	testns.Must(t, node.Configure("10-chain.conflist", text))
}

func cnitool(t *testing.T, verb, netns string) plugintest.Answer {
	t.Helper()
	a, err := plugintest.Run(node.Command("cnitool", verb, "chain", netns))
	testns.Must(t, err)
	return a
}

// recorded returns the calls of the recorder of the label so far.
func recorded(t *testing.T, label string) []record.Call {
	t.Helper()
	calls, err := record.Read(recordFile)
	testns.Must(t, err)
	return slices.DeleteFunc(calls, func(c record.Call) bool { return c.Label != label })
}

// verbs returns the verbs with which the recorder of the label was called.
func verbs(t *testing.T, label string) (verbs []string) {
	t.Helper()
	for _, c := range recorded(t, label) {
		verbs = append(verbs, c.Command)
	}
	return verbs
}

// added returns the prevResult that the recorder of the label got with its only
// ADD.
func added(t *testing.T, label string) string {
	t.Helper()
	adds := slices.DeleteFunc(recorded(t, label), func(c record.Call) bool { return c.Command != "ADD" })
	if len(adds) != 1 {
		t.Fatalf("calls of ADD that the recorder %q got: got %d, want one", label, len(adds))
	}
	return string(adds[0].PrevResult)
}

// mustCnitool wants cnitool to succeed and returns what it prints.
func mustCnitool(t *testing.T, verb, netns string) string {
	t.Helper()
	a := cnitool(t, verb, netns)
	if a.Status != 0 {
		t.Fatalf("cnitool %s: got %+v, want success", verb, a)
	}
	return a.Stdout
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
			writeChain(t, tt.version)
			pod := newPod(t, "pod").NetNS
			mustCnitool(t, "status", pod)
			result := mustCnitool(t, "add", pod)
			checkHandedOn(t, result)
			if a := cnitool(t, "check", pod); (a.Status == 0) != (tt.version != "0.3.1") {
				t.Errorf("cnitool check: got %+v, want success unless the version has no CHECK", a)
			}
			for _, verb := range []string{"del", "del", "gc", "status"} {
				mustCnitool(t, verb, pod)
			}
			node.NothingLeft(t, defaultRoot)
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
	all := endpoints(t, defaultRoot)
	if len(all) != 1 || len(all[0].Pins) != 2 {
		t.Fatalf("endpoints: got %v, want one with two pins", all)
	}
	interfaces, _ := before["interfaces"].([]any)
	for _, pin := range all[0].Pins {
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
	writeChain(t, "1.1.0")
	mustCnitool(t, "add", newPod(t, "a").NetNS)
	mustCnitool(t, "add", newPod(t, "b").NetNS)
	if all := endpoints(t, defaultRoot); len(all) != 2 {
		t.Fatalf("endpoints of two pods: got %v, want two", all)
	}
	mustCnitool(t, "gc", "/run/netns/a")
	node.NothingLeft(t, defaultRoot)
}
