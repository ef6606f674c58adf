package byhand

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// left is what remains of an empty bpffs once an ADD and its DEL have been.
var left = []string{
	"d--------- /cni", "d--------- /cni/attachments", "d--------- /cni/endpoints",
	"d--------- /cni/layout-1", "d--------- /tc", "d--------- /tc/globals",
}

func TestAddTwice(t *testing.T) {
	emptyNode(t)
	add := call{verb: "ADD", config: newConfig()}
	first, second := add.must(t), add.must(t)
	if diff := cmp.Diff(first.stdout, second.stdout); diff != "" {
		t.Errorf("the second ADD of an attachment answers differently (-first +second):\n%s", diff)
	}
	maps := localMaps(t, first)
	if len(maps) != 2 || maps[0].Name != "policy_" || maps[1].Name != "calls_" || maps[0].EndpointID != maps[1].EndpointID {
		t.Errorf("got the maps %v, want policy_ and calls_ of one endpoint", maps)
	}
	if want := fmt.Sprintf("/sys/fs/bpf/tc/globals/policy_%05d", maps[0].EndpointID); maps[0].Path != want {
		t.Errorf("got the path %s, want %s", maps[0].Path, want)
	}
}

func TestDelSucceeds(t *testing.T) {
	for _, row := range []struct {
		name string
		call call
		adds int
	}{
		{"once", call{config: newConfig()}, 1},
		{"nothing mounted", call{config: newConfig()}, 0},
		{"without prevResult", call{config: newConfig(keys{"prevResult": nil})}, 1},
		{"without netns", call{config: newConfig(), env: []string{"CNI_NETNS="}}, 1},
		{"with other maps", call{config: newConfig(keys{"maps": []any{keys{"name": "other_"}}})}, 1},
		{"with another mapPrefix", call{config: newConfig(keys{"mapPrefix": "elsewhere"})}, 1},
		{"with another bpfRoot", call{config: newConfig(keys{"bpfRoot": "/run/missing"})}, 1},
		{"with a wrong bpfRoot", call{config: newConfig(keys{"bpfRoot": "relative"})}, 1},
		{"with a bpfRoot of the wrong type", call{config: newConfig(keys{"bpfRoot": 1})}, 1},
		{"with a wrong list of maps", call{config: newConfig(keys{"maps": []any{keys{"name": "a/b"}, 7}})}, 1},
		{"with maps of the wrong type", call{config: newConfig(keys{"maps": "all"})}, 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			emptyNode(t)
			for range row.adds {
				added := call{verb: "ADD", config: newConfig()}.must(t)
				mkdir(t, localMaps(t, added)[0].Path+"/below") // as a downstream plugin would
			}
			row.call.verb = "DEL"
			row.call.must(t)
			row.call.must(t)
			want := []string{}
			if row.adds > 0 {
				want = left
			}
			if diff := cmp.Diff(want, tree(t, root)); row.adds > 0 && diff != "" {
				t.Errorf("left after DEL (-want +got):\n%s", diff)
			}
			if got := bpfMounts(t); got != row.adds {
				t.Errorf("DEL leaves %d bpffs, want %d", got, row.adds)
			}
		})
	}
}

func TestGC(t *testing.T) {
	one := keys{"containerID": "c.1", "ifname": "eth0.7"}
	for _, row := range []struct {
		name string
		list keys
		kept []string // of c.1 and c2 in the network, and of c.1 in another
	}{
		{"no list", keys{}, []string{"net/c.1", "net/c2", "other/c.1"}},
		{"null", keys{"cni.dev/valid-attachments": newNull()}, []string{"other/c.1"}},
		{"empty", keys{"cni.dev/valid-attachments": []any{}}, []string{"other/c.1"}},
		{"one", keys{"cni.dev/valid-attachments": []any{one}}, []string{"net/c.1", "other/c.1"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			emptyNode(t)
			for _, of := range []string{"net/c.1", "net/c2", "other/c.1"} {
				network, container, _ := strings.Cut(of, "/")
				call{
					verb: "ADD", container: container, ifName: "eth0.7", config: newConfig(keys{"name": network}),
				}.must(t)
			}
			a := call{verb: "GC", config: newConfig(row.list, keys{"prevResult": nil})}.must(t)
			if warned := strings.Contains(a.stderr, "valid-attachments"); warned != (len(row.list) == 0) {
				t.Errorf("GC with %v warns %q", row.list, a.stderr)
			}
			var kept []string
			for _, of := range []string{"net/c%2E1", "net/c2", "other/c%2E1"} {
				if there(t, root+"/cni/attachments/"+of) {
					kept = append(kept, strings.ReplaceAll(of, "%2E", "."))
				}
			}
			if diff := cmp.Diff(row.kept, kept); diff != "" {
				t.Errorf("kept by GC with %v (-want +got):\n%s", row.list, diff)
			}
			if got := len(tree(t, root+"/tc/globals")); got != 0 {
				t.Errorf("%d pins, want none: nobody made any", got)
			}
		})
	}
}

// newNull returns what a nil Go slice is in JSON.
func newNull() any { return []any(nil) }

func TestOccupiedPathIsSkippedAndSurvives(t *testing.T) {
	emptyNode(t)
	add := call{verb: "ADD", config: newConfig()}
	first := localMaps(t, add.must(t))[0]
	call{verb: "DEL", config: newConfig()}.must(t)
	mkdir(t, first.Path)
	second := localMaps(t, add.must(t))[0]
	if second.EndpointID == first.EndpointID {
		t.Errorf("got the ID %d again, whose path %s is occupied", second.EndpointID, first.Path)
	}
	for _, verb := range []string{"DEL", "GC"} {
		call{verb: verb, config: newConfig(keys{"cni.dev/valid-attachments": []any{}})}.must(t)
		if !there(t, first.Path) {
			t.Fatalf("%s removed %s, which is somebody else's", verb, first.Path)
		}
	}
}

func TestDownstreamDirectoriesGoOthersStay(t *testing.T) {
	emptyNode(t)
	own := localMaps(t, call{verb: "ADD", config: newConfig()}.must(t))[0].Path
	foreign := root + "/tc/globals/cilium_calls_00001"
	mkdir(t, own+"/a/b", foreign)
	call{verb: "DEL", config: newConfig()}.must(t)
	if there(t, own) || !there(t, foreign) {
		t.Errorf("after DEL %s is there: %v, want false; %s: %v, want true", own, there(t, own), foreign, there(t, foreign))
	}
}

func TestAddFailsWithClosedStdout(t *testing.T) {
	testns.Need(t)
	emptyNode(t)
	cmd := call{verb: "ADD", config: newConfig()}.command(t)
	cmd.Stdout = closedPipe(t)
	if err := cmd.Run(); err == nil {
		t.Error("ADD with a closed standard output succeeds")
	}
	if got := tree(t, root+"/cni/endpoints"); len(got) != 0 {
		t.Errorf("ADD whose result nobody got leaves %v", got)
	}
}
