package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/containernetworking/cni/pkg/types"
	types100 "github.com/containernetworking/cni/pkg/types/100"
	"github.com/containernetworking/cni/pkg/types/create"
	"github.com/google/go-cmp/cmp"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
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
	testns.Must(tb, json.Unmarshal([]byte("{"+body+"}"), &keys))
	keys["cniVersion"] = version
	for _, p := range paths {
		interfaces, _ := keys["interfaces"].([]any)
		keys["interfaces"] = append(interfaces, map[string]any{"name": p})
	}
	result, err := json.Marshal(keys)
	testns.Must(tb, err)
	return result
}

// printed returns what the plugin prints for a result from the plugin before it.
func printed(tb testing.TB, prev []byte, cniVersion string, paths ...string) []byte {
	tb.Helper()
	r, err := parseResult(prev, cniVersion)
	if err != nil {
		tb.Fatalf("parseResult(%s): %v", prev, err)
	}
	var out bytes.Buffer
	p := plugin{stdout: &out}
	testns.Must(tb, p.printResult(cniVersion, bpffs.AppendPaths(r, paths)))
	return out.Bytes()
}

// What is printed is what the CNI library makes itself of the same result with the
// paths in it.
func TestResultsAreConvertedByTheCNILibrary(t *testing.T) {
	for _, c := range resultCases() {
		for _, from := range versions() {
			for _, to := range versions() {
				if from < c.since {
					continue
				}
				t.Run(fmt.Sprintf("%s/%s to %s", c.name, from, to), func(t *testing.T) {
					got := printed(t, c.in(t, from), to, localPaths()...)
					want, err := created(t, c.in(t, from, localPaths()...)).GetAsVersion(to)
					testns.Must(t, err)
					if diff := cmp.Diff(asJSON(t, want), asJSON(t, created(t, got))); diff != "" {
						t.Errorf("printed for %s in %s: got %s (-library +ours):\n%s", c.in(t, from), to, got, diff)
					}
					expectLocalMaps(t, got, localPaths())
				})
			}
		}
	}
}

func created(tb testing.TB, result []byte) types.Result {
	tb.Helper()
	r, err := create.CreateFromBytes(result)
	if err != nil {
		tb.Fatalf("the CNI library refuses %s: %v", result, err)
	}
	return r
}

// asJSON returns what the CNI library writes, decoded.
func asJSON(tb testing.TB, r types.Result) (keys map[string]any) {
	tb.Helper()
	text, err := json.Marshal(r)
	if err == nil {
		err = json.Unmarshal(text, &keys)
	}
	testns.Must(tb, err)
	return keys
}

func expectLocalMaps(tb testing.TB, result []byte, want []string) {
	tb.Helper()
	r, err := types100.GetResult(created(tb, result))
	testns.Must(tb, err)
	var got []string
	for _, m := range bpffs.LocalMaps(r) {
		got = append(got, m.Path)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		tb.Errorf("LocalMaps(%s) (-want +got):\n%s", result, diff)
	}
}

// A result without a version has that of the configuration, as libcni has it.
func TestResultWithoutVersion(t *testing.T) {
	for _, row := range []struct{ result, version, want string }{
		{`{}`, "1.0.0", `{"cniVersion":"1.0.0"}`},
		{`{"cniVersion":""}`, "1.1.0", `{"cniVersion":"1.1.0"}`},
		{`{"cniVersion":null}`, "0.4.0", `{"cniVersion":"0.4.0"}`},
		{`{"ips":[{"version":"4","address":"10.0.0.1/8"}]}`, "0.3.1", `{"cniVersion":"0.3.1","ips":[{"version":"4","address":"10.0.0.1/8"}]}`},
		{`{"interfaces":null,"ips":null}`, "1.0.0", `{"cniVersion":"1.0.0"}`},
	} {
		got := printed(t, []byte(row.result), row.version)
		if diff := cmp.Diff(asJSON(t, created(t, []byte(row.want))), asJSON(t, created(t, got))); diff != "" {
			t.Errorf("printed for %s in %s: got %s (-want +got):\n%s", row.result, row.version, got, diff)
		}
	}
}

func TestResultsThatAreRefused(t *testing.T) {
	for _, row := range []struct{ name, result, want string }{
		{"nothing", ``, "chained plugin"},
		{"null", ` null`, "chained plugin"},
		{"no JSON", `{`, "JSON"},
		{"array", `[]`, "array"},
		{"number", `1`, "number"},
		{"version is a number", `{"cniVersion":1}`, "cniVersion"},
		{"unknown version", `{"cniVersion":"9.9.9"}`, "9.9.9"},
		{"no version at all", `{"cniVersion":"x"}`, "x"},
		{"interfaces is an object", `{"interfaces":{}}`, "interfaces"},
		{"an interface is a string", `{"interfaces":["eth0"]}`, "interfaces"},
		{"a name is a number", `{"interfaces":[{"name":1}]}`, "interfaces"},
		{"ips is an object", `{"cniVersion":"0.4.0","ips":{}}`, "ips"},
		{"an address is a string", `{"cniVersion":"0.4.0","ips":["10.0.0.1/8"]}`, "ips"},
		{"a null interface", `{"cniVersion":"1.0.0","interfaces":[{"name":"a"},null]}`, "interfaces[1] is null"},
		{"without an address", `{"cniVersion":"1.0.0","ips":[{}]}`, "ips[0] has no address"},
		{"0.2.0 without an address", `{"cniVersion":"0.2.0","ip4":{}}`, "ips[0] has no address"},
		{"a null address", `{"cniVersion":"0.4.0","ips":[null]}`, "ips[0] is null"},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := parseResult([]byte(row.result), "1.0.0")
			if err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("parseResult(%s): got %v, %v, want an error with %q", row.result, got, err, row.want)
			}
		})
	}
}

// Whatever a plugin prints, ours crashes on none of it, and the CNI library takes
// what it prints.
func FuzzResult(f *testing.F) {
	for _, result := range []string{
		``, `null`, `[]`, `{}`, `{"cniVersion":"0.2.0","ip4":{"ip":"10.0.0.1/8"}}`, `{"interfaces":null,"ips":null}`,
		`{"cniVersion":"1.0.0","interfaces":[null,{},{"name":"/b/m_00001"}],"ips":[{"address":"::1/128"},null]}`,
		`{"cniVersion":"0.4.0","ips":[{"version":"4","address":"10.0.0.1/8","interface":0}],"routes":[null]}`,
	} {
		for which := range versions() {
			f.Add([]byte(result), uint8(which))
		}
	}
	f.Fuzz(func(t *testing.T, prev []byte, which uint8) {
		version := versions()[int(which)%len(versions())]
		r, err := parseResult(prev, version)
		if err != nil {
			return
		}
		var out bytes.Buffer
		p := plugin{stdout: &out}
		if p.printResult(version, bpffs.AppendPaths(r, localPaths())) != nil {
			return
		}
		if r := created(t, out.Bytes()); r.Version() == "" {
			t.Errorf("printed for %q in %s: %s, which has no version", prev, version, out.Bytes())
		}
	})
}
