package reliability

import (
	"maps"
	"strings"
	"testing"

	"github.com/cni-bpffs/cni-bpffs/test/internal/node"
)

// TestInvariants: the tree tells every violation. What decides about the other
// tests is itself tested here.
func TestInvariants(t *testing.T) {
	for _, tt := range []struct {
		name string
		more map[string]string // links beside those of one endpoint that is right
		less string
		want string
	}{
		{"nothing wrong", nil, "", ""},
		{"what a killed ADD leaves", tree{"cni/scratch/owner": "net/c2/eth0", "cni/attachments/net/c2/eth0": "00007"}, "", ""},
		{"a foreign pin", tree{node.Globals + "/theirs/of/them": "map"}, "", ""},
		{"no owner", tree{"cni/endpoints/00002/pins0": node.Globals + "//calls_"}, "", `endpoint 00002 has the owner ""`},
		{"half an owner", tree{"cni/endpoints/00002/owner": "net/c2"}, "", "endpoint 00002 has the owner"},
		{"two IDs", tree{"cni/endpoints/00002/owner": "net/c1/eth0"}, "", "net/c1/eth0 has the endpoint IDs"},
		{"not in the index", nil, "cni/attachments/net/c1/eth0", "DEL cannot find it"},
		{"another ID in the index", tree{"cni/attachments/net/c1/eth0": "00002"}, "", "DEL cannot find it"},
		{"a pin in no record", tree{node.Globals + "/calls_00002": "map"}, "", "calls_00002 is in no record"},
		{"a pin elsewhere", tree{"elsewhere": "map"}, "", "elsewhere is in no record"},
		{"a pin twice", tree{"cni/endpoints/00001/pins1": node.Globals + "//calls_"}, "", "have the pin"},
		{"a foreign pin that is recorded", tree{
			"cni/endpoints/00001/pins1": node.Globals + "/theirs//x", node.Globals + "/theirs/x00001": "map",
		}, "", "belongs to somebody else"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			links := tree{
				"cni/endpoints/00001/owner": "net/c1/eth0", "cni/endpoints/00001/pins0": node.Globals + "//calls_",
				"cni/attachments/net/c1/eth0": "00001", node.Globals + "/calls_00001": "map",
			}
			maps.Copy(links, tt.more)
			all := tree{}
			for name, target := range links {
				for i, c := range name {
					if c == '/' {
						all[name[:i]] = "d---------"
					}
				}
				all[name] = node.LinkTo + target
			}
			maps.DeleteFunc(all, func(name, _ string) bool { return name == tt.less })
			got := strings.Join(all.wrong([]string{node.Globals + "/theirs"}), "\n")
			if tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
