package integration

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/test/internal/node"
	"github.com/cni-bpffs/cni-bpffs/test/internal/plugintest"
)

// pods adds the containers a.1, b and c with two interfaces to two networks.
func (p plugin) pods(t *testing.T) {
	t.Helper()
	for _, network := range []string{"net", "net.2"} {
		for _, container := range []string{"a.1", "b", "c"} {
			p.addPinned(t, conf(keys{"name": network}), "CNI_CONTAINERID="+container)
			p.addPinned(t, conf(keys{"name": network}), "CNI_CONTAINERID="+container, "CNI_IFNAME=eth0.7")
		}
	}
}

// indexed returns the attachments in the index of the records.
func indexed(t *testing.T) []string {
	t.Helper()
	all, err := node.Kinds(defaultRoot)
	testns.Must(t, err)
	return slices.DeleteFunc(all.Below("cni/attachments"), func(name string) bool { return strings.Count(name, "/") != 2 })
}

func TestGC(t *testing.T) {
	everything := []string{
		"net/a%2E1/eth0", "net/a%2E1/eth0%2E7", "net/b/eth0", "net/b/eth0%2E7", "net/c/eth0", "net/c/eth0%2E7",
	}
	for _, tt := range []struct {
		name, valid string // the list; empty if the runtime sends none
		removed     []string
	}{
		{"no list", "", nil},
		{"null", "null", everything},
		{"empty", "[]", everything},
		{"some", `[{"containerID":"a.1","ifname":"eth0"},{"containerID":"c","ifname":"eth0.7"}]`, []string{
			"net/a%2E1/eth0%2E7", "net/b/eth0", "net/b/eth0%2E7", "net/c/eth0",
		}},
		{"unknown ones", `[{"containerID":"x","ifname":"eth0"},{"containerID":"b","ifname":"eth1"}]`, everything},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newNode(t)
			p.pods(t)
			before := indexed(t)
			conf := conf(keys{"prevResult": nil, "maps": nil})
			if tt.valid != "" {
				conf = withValid(conf, tt.valid)
			}
			a := p.Succeed(t, "GC", conf, "CNI_CONTAINERID=", "CNI_IFNAME=", "CNI_NETNS=")
			after := indexed(t)
			gone := slices.DeleteFunc(before, func(name string) bool { return slices.Contains(after, name) })
			if diff := cmp.Diff(tt.removed, gone, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("attachments removed by GC with %q (-want +got):\n%s", tt.valid, diff)
			}
			checkPins(t, 12-len(tt.removed))
			if got := plugintest.Contains(a.Stderr, "warning", "cni.dev/valid-attachments"); got != (tt.valid == "") {
				t.Errorf("GC with the list %q: got the warnings %q, want one only if there is none", tt.valid, a.Stderr)
			}
		})
	}
}

// checkPins wants so many endpoints, each with its two pins.
func checkPins(t *testing.T, endpoints int) {
	t.Helper()
	ids, err := filepath.Glob(defaultRoot + "/cni/endpoints/*")
	testns.Must(t, err)
	var want []string
	for _, name := range []string{"calls_", "policy_"} {
		for _, id := range ids {
			want = append(want, defaultRoot+"/tc/globals/"+name+filepath.Base(id))
		}
	}
	got, err := filepath.Glob(defaultRoot + "/tc/globals/*")
	testns.Must(t, err)
	if diff := cmp.Diff(want, got); diff != "" || len(ids) != endpoints {
		t.Errorf("got %d endpoints, want %d; pins (-want +got):\n%s", len(ids), endpoints, diff)
	}
}

func TestGCBadList(t *testing.T) {
	p := newNode(t)
	p.pods(t)
	before := snapshot(t)
	for list, where := range map[string]string{
		`{}`: ": {}", `"a"`: `: "a"`, `[{"containerID":"c","ifname":"eth0"},1]`: "[1]: 1", `[{"containerID":1}]`: `[0]: {"containerID":1}`,
	} {
		p.Fail(t, 7, []string{"cni.dev/valid-attachments" + where}, "GC", withValid(conf(nil), list))
	}
	unchanged(t, before)
}

// TestGCCarriesOn: of two endpoints with a pin that cannot be removed both are
// reported, and the others are gone.
func TestGCCarriesOn(t *testing.T) {
	p := newNode(t)
	p.pods(t)
	var stuck []string
	for _, container := range []string{"a.1", "c"} {
		path := p.Add(t, conf(nil), "CNI_CONTAINERID="+container)[0]
		testns.Mount(t, "tmpfs", path, "")
		stuck = append(stuck, path)
	}
	p.Fail(t, 108, []string{"cannot remove a pin", "busy", plugintest.IDOf(stuck[0]), plugintest.IDOf(stuck[1])}, "GC", withValid(conf(nil), "[]"))
	want := []string{"a%2E1", "c"}
	if got := containers(t, "net"); !cmp.Equal(got, want) {
		t.Errorf("containers after a GC with errors: got %q, want those with stuck pins: %q", got, want)
	}
	for _, path := range stuck {
		testns.UnmountAll(t, path)
	}
	p.Succeed(t, "GC", withValid(conf(nil), "[]"))
	checkPins(t, 6)
}
