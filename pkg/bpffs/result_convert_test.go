package bpffs

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/containernetworking/cni/pkg/types"
	"github.com/containernetworking/cni/pkg/types/create"
	"github.com/google/go-cmp/cmp"
)

// versions are the CNI versions whose results have interfaces.
func versions() []string {
	return []string{"0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"}
}

func localPaths() []string {
	return []string{"/sys/fs/bpf/tc/globals/policy_00042", "/sys/fs/bpf/tc/globals/calls_00042"}
}

// A resultCase is a result without cniVersion; VERSION stands for the IP version
// of an address, which the forms before 1.0.0 want.
type resultCase struct {
	name, body string
	since      string // the first version that has all keys in it
}

func resultCases() []resultCase {
	return []resultCase{
		{name: "empty"},
		{name: "bridge", body: `"interfaces":[{"name":"cni0","mac":"9a:11:22:33:44:55"},` +
			`{"name":"veth0","mac":"9a:11:22:33:44:56"},{"name":"eth0","sandbox":"/run/netns/x"}],` +
			`"ips":[{VERSION4,"interface":2,"address":"10.244.77.2/24","gateway":"10.244.77.1"},` +
			`{VERSION6,"interface":2,"address":"fd00::2/64","gateway":"fd00::1"}],` +
			`"routes":[{"dst":"0.0.0.0/0"},{"dst":"::/0","gw":"fd00::1"}],` +
			`"dns":{"nameservers":["10.0.0.1"],"search":["a.b"]}`},
		{name: "addresses only", body: `"ips":[{VERSION4,"address":"10.0.0.2/8"},{VERSION6,"address":"::2/64"}]`},
		{name: "no addresses", body: `"interfaces":[],"ips":[],"routes":[],"dns":{}`},
		{name: "keys of 1.1.0", since: "1.1.0", body: `"interfaces":[{"name":"eth0","mtu":1450,"socketPath":"/s","pciID":"0:1"}],` +
			`"ips":[{"interface":0,"address":"10.0.0.2/8"}],` +
			`"routes":[{"dst":"10.0.0.0/8","mtu":1400,"advmss":1300,"priority":5,"table":7,"scope":0}]`},
	}
}

// in writes the case in the form of version, with the paths as the last interfaces.
func (c resultCase) in(tb testing.TB, version string, paths ...string) []byte {
	tb.Helper()
	body := c.body
	if strings.HasPrefix(version, "0.") {
		body = strings.NewReplacer("VERSION4", `"version":"4"`, "VERSION6", `"version":"6"`).Replace(body)
	} else {
		body = strings.NewReplacer("VERSION4,", "", "VERSION6,", "").Replace(body)
	}
	keys := make(map[string]any)
	if err := json.Unmarshal([]byte("{"+body+"}"), &keys); err != nil {
		tb.Fatal(err)
	}
	keys["cniVersion"] = version
	for _, p := range paths {
		interfaces, _ := keys["interfaces"].([]any)
		keys["interfaces"] = append(interfaces, map[string]any{"name": p})
	}
	result, err := json.Marshal(keys)
	if err != nil {
		tb.Fatal(err)
	}
	return result
}

// What the CNI library reads from ours is what it makes itself of the same
// result with the paths in it.
func TestAppendPathsConvertsLikeTheCNILibrary(t *testing.T) {
	for _, c := range resultCases() {
		for _, from := range versions() {
			for _, to := range versions() {
				if from < c.since {
					continue
				}
				t.Run(fmt.Sprintf("%s/%s to %s", c.name, from, to), func(t *testing.T) {
					ours, err := AppendPaths(c.in(t, from), to, localPaths())
					if err != nil {
						t.Fatal(err)
					}
					want, err := parseResult(t, c.in(t, from, localPaths()...)).GetAsVersion(to)
					if err != nil {
						t.Fatal(err)
					}
					if diff := cmp.Diff(asJSON(t, want), asJSON(t, parseResult(t, ours))); diff != "" {
						t.Errorf("AppendPaths(%s, %s) = %s (-library +ours):\n%s", c.in(t, from), to, ours, diff)
					}
					expectLocalMaps(t, ours, localPaths())
				})
			}
		}
	}
}

func parseResult(tb testing.TB, result []byte) types.Result {
	tb.Helper()
	r, err := create.CreateFromBytes(result)
	if err != nil {
		tb.Fatalf("the CNI library refuses %s: %v", result, err)
	}
	return r
}

// asJSON returns what the CNI library writes, decoded.
func asJSON(tb testing.TB, r types.Result) map[string]any {
	tb.Helper()
	text, err := json.Marshal(r)
	if err != nil {
		tb.Fatal(err)
	}
	var keys map[string]any
	if err := json.Unmarshal(text, &keys); err != nil {
		tb.Fatal(err)
	}
	return keys
}

func expectLocalMaps(tb testing.TB, result []byte, want []string) {
	tb.Helper()
	maps, err := LocalMaps(result)
	if err != nil {
		tb.Errorf("LocalMaps(%s): %v", result, err)
	}
	var got []string
	for _, m := range maps {
		got = append(got, m.Path)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		tb.Errorf("LocalMaps(%s) (-want +got):\n%s", result, diff)
	}
}
