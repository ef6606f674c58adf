package reliability

import (
	"maps"
	"strings"
	"testing"
)

// TestInvariants: the tree tells every violation. What decides about the other
// tests is itself tested here.
func TestInvariants(t *testing.T) {
	for _, tt := range []struct {
		name string
		more []string // beside one endpoint that is right
		less string
		want string
	}{
		{"nothing wrong", nil, "", ""},
		{"what a killed ADD leaves", []string{"cni/scratch/owner/net", "cni/attachments/net/c2/eth0/00007"}, "", ""},
		{"a foreign pin", []string{globals + "/theirs/of/them"}, "", ""},
		{"no owner", []string{"cni/endpoints/00002/pins"}, "", "endpoint 00002 has the owners []"},
		{"half an owner", []string{"cni/endpoints/00002/owner/net/c2"}, "", "endpoint 00002 has the owners"},
		{"two owners", []string{"cni/endpoints/00001/owner/net/c2/eth0"}, "", "endpoint 00001 has the owners"},
		{"two IDs", []string{"cni/endpoints/00002/owner/net/c1/eth0", "cni/attachments/net/c1/eth0/00002"}, "", "net/c1/eth0 has the endpoint IDs"},
		{"not in the index", nil, "cni/attachments/net/c1/eth0/00001", "DEL cannot find it"},
		{"a pin in no record", []string{globals + "/calls_00002"}, "", "calls_00002 is in no record"},
		{"a pin elsewhere", []string{"elsewhere"}, "", "elsewhere is in no record"},
		{"a pin of another ID", []string{"cni/endpoints/00001/pins/" + globals + "/calls_00002"}, "", "endpoint 00001 has the pin"},
		{"a foreign pin that is recorded", []string{"cni/endpoints/00001/pins/" + globals + "/theirs/00001", globals + "/theirs/00001"}, "", "belongs to somebody else"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			all := tree{}
			for _, name := range append(tt.more,
				"cni/endpoints/00001/owner/net/c1/eth0", "cni/endpoints/00001/pins/"+globals+"/calls_00001",
				"cni/attachments/net/c1/eth0/00001", globals+"/calls_00001") {
				for i, c := range name + "/" {
					if c == '/' {
						all[name[:i]] = "d---------"
					}
				}
			}
			maps.DeleteFunc(all, func(name, _ string) bool { return name == tt.less })
			got := strings.Join(all.wrong([]string{globals + "/theirs"}), "\n")
			if tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
