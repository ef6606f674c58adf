package integration

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/cni-bpffs/cni-bpffs/test/internal/plugintest"
)

// A badRow is a call that must change nothing: what is wrong with it, the error
// code, and what the message says.
type badRow struct {
	name, conf string
	env        string // one variable that replaces another
	code       uint
	says       []string
}

// badMap is a row with the given declaration after a good one.
func badMap(name, decl string, says ...string) badRow {
	return badKey(name, "maps", `[{"name":"good_"},`+decl+`]`, says...)
}

// badKey is a row with the given value of a key of the configuration.
func badKey(name, key, value string, says ...string) badRow {
	return badRow{name: name, conf: conf(keys{key: json.RawMessage(value)}), code: 7, says: append(says, key)}
}

func badVersion(value, says string) badRow {
	row := badKey("cniVersion "+value, "cniVersion", value, says)
	row.code = 1
	return row
}

func badEnv(name, env string, code uint, says ...string) badRow {
	variable, _, _ := strings.Cut(env, "=")
	return badRow{name: name, conf: conf(nil), env: env, code: code, says: append(says, variable)}
}

func badConfigurations() []badRow {
	long := strings.Repeat("x", 300)
	return []badRow{
		{name: "nothing", conf: "", code: 6},
		{name: "broken JSON", conf: `{"cniVersion":"1.1.0"`, code: 6},
		{name: "two values", conf: conf(nil) + "{}", code: 6},
		{name: "an array", conf: "[]", code: 6},
		{name: "null", conf: "null", code: 7, says: []string{"name", "missing"}},
		{name: "name of 300 bytes", conf: conf(keys{"name": long}), code: 7, says: []string{"name", "xxxxx", "300 bytes"}},
		{name: "no name", conf: conf(keys{"name": nil}), code: 7, says: []string{"name", "missing"}},
		badKey("name with a slash", "name", `"a/b"`, `"a/b"`),
		{name: "name that is a number", conf: conf(keys{"name": 5}), code: 6, says: []string{"name", "5"}},
		badKey("relative root", "bpfRoot", `"run/bpf"`, `"run/bpf"`),
		badKey("root of the wrong type", "bpfRoot", `["/x"]`, `["/x"]`),
		badKey("relative fallback", "bpfFallback", `"run/bpf"`, `"run/bpf"`),
		badKey("prefix upwards", "mapPrefix", `"../x"`, `"../x"`),
		badKey("prefix upwards inside", "mapPrefix", `"tc/../x"`, `"tc/../x"`),
		badKey("absolute prefix", "mapPrefix", `"/tc"`, `"/tc"`),
		badKey("prefix with an empty name", "mapPrefix", `"tc//x"`, `"tc//x"`),
		badKey("prefix in the records", "mapPrefix", `"cni/endpoints"`, `"cni/endpoints"`),
		badKey("prefix of the wrong type", "mapPrefix", `7`, `7`),
		badKey("maps of the wrong type", "maps", `{"name":"a"}`, `{"name":"a"}`),
		badMap("map of the wrong type", `"a"`, "maps[1]", `"a"`),
		badMap("map with an unknown key", `{"name":"a","size":4}`, "maps[1].size", "4"),
		badMap("map with a key in the wrong case", `{"Name":"a"}`, "maps[1].Name", `"a"`),
		badMap("map name of the wrong type", `{"name":4}`, "maps[1].name", "4"),
		badMap("map without a name", `{}`, "maps[1].name", "missing"),
		badMap("map name with a dot", `{"name":"a.b"}`, "maps[1].name", `"a.b"`),
		badMap("map name with a slash", `{"name":"a/b"}`, "maps[1].name", `"a/b"`),
		badMap("map name of 300 bytes", `{"name":"`+long+`"}`, "maps[1].name", "xxxxx", "300"),
		badMap("map name of 251 bytes", `{"name":"`+long[:251]+`"}`, "maps[1].name", "xxxxx", "251"),
		badMap("map declared twice", `{"name":"good_"}`, "maps[1].name", `"good_"`),
		badMap("map of an unknown type", `{"name":"a","type":"tree"}`, "maps[1].type", `"tree"`),
		badMap("size of the wrong type", `{"name":"a","type":"hash","keySize":"4"}`, "maps[1].keySize", `"4"`),
		badMap("negative size", `{"name":"a","type":"hash","keySize":-4}`, "maps[1].keySize", `-4`),
		badMap("size of a map without a type", `{"name":"a","keySize":4}`, "maps[1].type", "missing"),
		badMap("unknown key inside", `{"name":"a","type":"array_of_maps","inner":{"name":"b"}}`, "maps[1].inner.name", `"b"`),
		{name: "no prevResult", conf: conf(keys{"prevResult": nil}), code: 7, says: []string{"prevResult", "missing"}},
		badKey("prevResult null", "prevResult", `null`, "null"),
		badKey("prevResult of the wrong type", "prevResult", `"x"`, `"x"`),
		badKey("interfaces of the wrong type", "prevResult", `{"interfaces":{}}`, `{"interfaces":{}}`),
		badVersion(`"0.2.0"`, `"0.2.0"`),
		badVersion(`"9.9.9"`, `"9.9.9"`),
		{name: "no cniVersion", conf: conf(keys{"cniVersion": nil}), code: 1, says: []string{"cniVersion"}},
		{name: "cniVersion of the wrong type", conf: conf(keys{"cniVersion": 1}), code: 6, says: []string{"cniVersion", "1"}},
	}
}

func badEnvironments() []badRow {
	long := strings.Repeat("x", 300)
	return []badRow{
		badEnv("container ID of 300 bytes", "CNI_CONTAINERID="+long, 4, long),
		badEnv("container ID of 86 dots", "CNI_CONTAINERID=a"+strings.Repeat(".", 86), 4, "259 bytes"),
		badEnv("container ID upwards", "CNI_CONTAINERID=../x", 4, `"../x"`),
		badEnv("no container ID", "CNI_CONTAINERID=", 4),
		badEnv("interface name of 16 bytes", "CNI_IFNAME=abcdefghijklmnop", 4, "abcdefghijklmnop"),
		badEnv("interface name with a slash", "CNI_IFNAME=a/b", 4, "a/b"),
		badEnv("no interface name", "CNI_IFNAME=", 4),
		badEnv("no network namespace", "CNI_NETNS=", 4),
		badEnv("the plugin's own network namespace", "CNI_NETNS=/proc/self/ns/net", 8, "/proc/self/ns/net"),
		badEnv("no path", "CNI_PATH=", 4),
		badEnv("unknown command", "CNI_COMMAND=UPDATE", 4, "UPDATE"),
	}
}

// TestBadInput: on a node without a bpffs and on one with an endpoint.
func TestBadInput(t *testing.T) {
	rows := append(badConfigurations(), badEnvironments()...)
	for _, used := range []bool{false, true} {
		name := map[bool]string{false: "new node", true: "used node"}[used]
		t.Run(name, func(t *testing.T) {
			p := newNode(t)
			if used {
				p.Add(t, conf(nil), "CNI_CONTAINERID=other")
			}
			for _, row := range rows {
				t.Run(row.name, func(t *testing.T) {
					before := snapshot(t)
					p.Fail(t, row.code, row.says, "ADD", row.conf, row.env)
					unchanged(t, before)
				})
			}
		})
	}
}

// TestErrorVersion: an error is in the version of the configuration, if that is
// one.
func TestErrorVersion(t *testing.T) {
	p := newNode(t)
	for version, want := range map[string]string{"0.3.1": "0.3.1", "1.0.0": "1.0.0", "9.9.9": "1.1.0", "": "1.1.0"} {
		a := p.Call(t, "ADD", conf(keys{"cniVersion": version, "prevResult": nil}))
		e, err := a.Error()
		if err != nil || e.CNIVersion != want {
			t.Errorf("cniVersion %q: got the error %+v (%v), want it in version %q", version, e, err, want)
		}
	}
}

// TestUnknownKeys: runtimes and later specifications add keys of their own.
func TestUnknownKeys(t *testing.T) {
	p := newNode(t)
	a := p.Succeed(t, "ADD", conf(keys{
		"bpfroot": "/x", "cni.dev/attachments": []string{}, "runtimeConfig": keys{}, "capabilities": keys{}, "args": keys{},
	}), "CNI_ARGS=IgnoreUnknown=0;K8S_POD_NAME=x")
	if got, want := a.Stderr, "bpffs: warning: "; strings.Count(got, "\n") != 1 || !plugintest.Contains(got, want, `"bpfroot"`) {
		t.Errorf("got the warnings %q, want one about bpfroot", got)
	}
}
