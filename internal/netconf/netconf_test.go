package netconf

import (
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/containernetworking/cni/pkg/types"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/internal/token"
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

func parsed(data string) (*Config, error) {
	c, err := Parse([]byte(data))
	if err != nil {
		return nil, err
	}
	return c, c.ParseAll()
}

func TestParse(t *testing.T) {
	c, err := parsed(`{
		"cniVersion": "1.1.0", "name": "net", "type": "bpffs", "bpfRoot": "/run/bpf", "bpfFallback": "/run/other", "mapPrefix": "a/b",
		"maps": [{"name": "policy_"},
			{"name": "outer_", "type": "array_of_maps", "keySize": 4, "valueSize": 4, "maxEntries": 2,
			 "inner": {"type": "array", "keySize": 4, "valueSize": 8, "maxEntries": 1, "flags": 1024}},
			{"name": "stats_", "type": "percpu_array", "keySize": 4, "valueSize": 16, "maxEntries": 2, "frozen": true}]}`)
	testns.Must(t, err)
	want := []bpffs.MapDecl{
		{Name: "policy_"},
		{Name: "outer_", Spec: bpffs.MapSpec{
			Type: unix.BPF_MAP_TYPE_ARRAY_OF_MAPS, KeySize: 4, ValueSize: 4, MaxEntries: 2,
			Inner: &bpffs.MapSpec{Type: unix.BPF_MAP_TYPE_ARRAY, KeySize: 4, ValueSize: 8, MaxEntries: 1, Flags: 1024},
		}},
		{Name: "stats_", Spec: bpffs.MapSpec{Type: unix.BPF_MAP_TYPE_PERCPU_ARRAY, KeySize: 4, ValueSize: 16, MaxEntries: 2, Frozen: true}},
	}
	if diff := cmp.Diff(want, c.Maps); diff != "" {
		t.Errorf("maps (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(bpffs.Roots{Root: "/run/bpf", Fallback: "/run/other"}, c.Roots); diff != "" {
		t.Errorf("roots (-want +got):\n%s", diff)
	}
	if c.CNIVersion != "1.1.0" || c.Name != "net" || c.MapPrefix != "a/b" {
		t.Errorf("got %q, %q, %q, want 1.1.0, net, a/b", c.CNIVersion, c.Name, c.MapPrefix)
	}
}

func TestParseErrorsNameKeyAndValue(t *testing.T) {
	for _, row := range []struct{ keys, want string }{
		{`"bpfRoot": "run"`, `bpfRoot: "run"`},
		{`"bpfRoot": 7`, `bpfRoot: 7`},
		{`"bpfFallback": "./x"`, `bpfFallback: "./x"`},
		{`"mapPrefix": "../x"`, `mapPrefix: "../x"`},
		{`"mapPrefix": "/x"`, `mapPrefix: "/x"`},
		{`"mapPrefix": "a//b"`, `mapPrefix: "a//b"`},
		{`"mapPrefix": "cni"`, `mapPrefix: "cni"`},
		{`"mapPrefix": ["x"]`, `mapPrefix: ["x"]`},
		{`"podVolume": "A"`, `podVolume: "A"`},
		{`"podVolume": "a/b"`, `podVolume: "a/b"`},
		{`"podVolume": "a-"`, `podVolume: "a-"`},
		{`"podVolume": "v", "kubeletDir": ""`, `kubeletDir: ""`},
		{`"podVolume": "v", "kubeletDir": "var"`, `kubeletDir: "var"`},
		{`"podVolume": "v", "kubeletDir": "/a/../b"`, `kubeletDir: "/a/../b"`},
		{`"podVolume": "v", "kubeletDir": "/a\u0085"`, `kubeletDir: "/a\u0085"`},
		{`"podVolume": "v", "kubeletDir": "/` + strings.Repeat("a", 3072) + `"`, `kubeletDir: "/aaa`},
		{`"maps": {}`, `maps: {}`},
		{`"maps": ["a"]`, `maps[0]: "a"`},
		{`"maps": [{"name": 1}]`, `maps[0].name: 1`},
		{`"maps": [{}]`, `maps[0].name: missing`},
		{`"maps": [{"name": "a.b"}]`, `maps[0].name: "a.b"`},
		{`"maps": [{"name": "ok"}, {"name": "a/b"}]`, `maps[1].name: "a/b"`},
		{`"maps": [{"name": "` + strings.Repeat("x", 251) + `"}]`, `maps[0].name: "xxx`},
		{`"maps": [{"name": "a"}, {"name": "a"}]`, `maps[1].name: {"name": "a"}`},
		{`"maps": [{"name": "a", "zzz": 1, "size": 2}]`, `maps[0].size: 2`},
		{`"maps": [{"name": "a", "keySize": 4}]`, `maps[0].type: missing`},
		{`"maps": [{"name": "a", "type": "tree"}]`, `maps[0].type: "tree"`},
		{`"maps": [{"name": "a", "type": "array", "keySize": 8, "valueSize": 1, "maxEntries": 1}]`, `maps[0].keySize: 8`},
		{`"maps": [{"name": "a", "type": "array", "keySize": 4, "maxEntries": 1}]`, `maps[0].valueSize: missing`},
		{`"maps": [{"name": "a", "type": "array", "keySize": -4}]`, `maps[0].keySize: -4`},
		{`"maps": [{"name": "a", "type": "array", "keySize": 4, "valueSize": 4, "maxEntries": 5000000000}]`, `maps[0].maxEntries: 5000000000`},
		{`"maps": [{"name": "a", "type": "ringbuf", "maxEntries": 5000}]`, `maps[0].maxEntries: 5000`},
		{`"maps": [{"name": "a", "type": "lpm_trie", "keySize": 8, "valueSize": 4, "maxEntries": 1}]`, `maps[0].flags: missing`},
		{`"maps": [{"name": "a", "type": "hash", "keySize": 8, "valueSize": 4, "maxEntries": 1, "flags": 4}]`, `maps[0].flags: 4`},
		{`"maps": [{"name": "a", "type": "array_of_maps", "keySize": 4, "valueSize": 4, "maxEntries": 1}]`, `maps[0].inner: missing`},
		{`"maps": [{"name": "a", "type": "hash", "keySize": 8, "valueSize": 4, "maxEntries": 1, "inner": {"type": "array"}}]`, `maps[0].inner: {"type": "array"}`},
		{`"maps": [{"name": "a", "type": "array_of_maps", "keySize": 4, "valueSize": 4, "maxEntries": 1, "inner": {"name": "b"}}]`, `maps[0].inner.name: "b"`},
		{`"delegate": []`, `delegate: []`},
		{`"delegate": true`, `delegate: true`},
		{`"delegate": {}`, `delegate.namespaces: missing: name each namespace`},
		{`"delegate": {"namespaces": [], "maps": ["array"]}`, `delegate.namespaces: []: name each namespace`},
		{`"delegate": {"namespaces": "a", "maps": ["array"]}`, `delegate.namespaces: "a": it is a string but must be an array`},
		{`"delegate": {"namespaces": ["a", 1]}`, `delegate.namespaces[1]: 1: it is a number but must be a string`},
		{`"delegate": {"namespaces": [null]}`, `delegate.namespaces[0]: null`},
		{`"delegate": {"namespaces": ["*"]}`, `delegate.namespaces[0]: "*": patterns are not supported`},
		{`"delegate": {"namespaces": ["team-?"]}`, `delegate.namespaces[0]: "team-?": patterns are not supported`},
		{`"delegate": {"namespaces": ["kube.system"]}`, `delegate.namespaces[0]: "kube.system": not a valid name`},
		{`"delegate": {"namespaces": ["A"]}`, `delegate.namespaces[0]: "A": not a valid name`},
		{`"delegate": {"namespaces": ["a-"]}`, `delegate.namespaces[0]: "a-": not a valid name`},
		{`"delegate": {"namespaces": ["` + strings.Repeat("x", 64) + `"]}`, `delegate.namespaces[0]: "xxx`},
		{`"delegate": {"namespaces": ["a", "a"]}`, `delegate.namespaces[1]: "a": it is listed twice`},
		{`"delegate": {"namespaces": ["a"]}`, `delegate: {"namespaces": ["a"]}: neither maps nor programs`},
		{`"delegate": {"namespaces": ["a"], "attachTypes": ["tcx_ingress"]}`, `delegate.attachTypes[0]: "tcx_ingress": attach type tcx_ingress is for programs of type sched_cls`},
		{`"delegate": {"namespaces": ["a"], "maps": null, "programs": []}`, `neither maps nor programs`},
		{`"delegate": {"namespaces": ["a"], "map": ["array"]}`, `delegate.map: ["array"]: there is no such key`},
		{`"delegate": {"namespaces": ["a"], "maps": ["array", "array"]}`, `delegate.maps[1]: "array": it is listed twice`},
		{`"delegate": {"namespaces": ["a"], "maps": ["array", "struct_ops"]}`, `delegate.maps[1]: "struct_ops": bpffs does not delegate maps of type struct_ops: they replace`},
		{`"delegate": {"namespaces": ["a"], "maps": ["any"]}`, `delegate.maps[0]: "any": no maps have the type "any"; use one of hash, array,`},
		{`"delegate": {"namespaces": ["a"], "maps": [""]}`, `delegate.maps[0]: "": no maps have the type ""`},
		{`"delegate": {"namespaces": ["a"], "programs": ["kprobe"]}`, `delegate.programs[0]: "kprobe": bpffs does not delegate programs of type kprobe`},
		{`"delegate": {"namespaces": ["a"], "programs": ["SCHED_CLS"]}`, `delegate.programs[0]: "SCHED_CLS": no programs have the type`},
		{`"delegate": {"namespaces": ["a"], "programs": ["sched_cls", "sk_lookup"]}`, `delegate.programs: ["sched_cls", "sk_lookup"]: programs of type sk_lookup cannot be loaded`},
		{`"delegate": {"namespaces": ["a"], "programs": ["sched_cls"], "attachTypes": ["tcx"]}`, `delegate.attachTypes[0]: "tcx": there is no attach type`},
		{`"delegate": {"namespaces": ["a"], "programs": ["sched_cls"], "attachTypes": ["netkit_peer"]}`, `delegate.attachTypes[0]: "netkit_peer": bpffs does not delegate attach type netkit_peer`},
		{`"delegate": {"namespaces": ["a"], "programs": ["sched_cls"], "attachTypes": ["lsm_mac"]}`, `delegate.attachTypes[0]: "lsm_mac": bpffs does not delegate attach type lsm_mac: they decide`},
	} {
		_, err := parsed(`{"cniVersion": "1.1.0", "name": "net", ` + row.keys + `}`)
		if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: got the error %v, want a configuration error with %s", row.keys, err, row.want)
		}
	}
}

func TestDelegate(t *testing.T) {
	for _, row := range []struct {
		value string
		want  *Delegate
	}{
		{`null`, nil},
		{`{"namespaces": ["observability"], "maps": ["array", "hash", "ringbuf"], "programs": ["socket_filter", "sched_cls"], "attachTypes": ["tcx_ingress", "tcx_egress"]}`, &Delegate{
			Namespaces: []string{"observability"},
			Delegation: token.Delegation{
				Maps:        1<<unix.BPF_MAP_TYPE_ARRAY | 1<<unix.BPF_MAP_TYPE_HASH | 1<<unix.BPF_MAP_TYPE_RINGBUF,
				Programs:    1<<unix.BPF_PROG_TYPE_SOCKET_FILTER | 1<<unix.BPF_PROG_TYPE_SCHED_CLS,
				AttachTypes: 1<<unix.BPF_TCX_INGRESS | 1<<unix.BPF_TCX_EGRESS,
			},
		}},
		{`{"maps": ["user_ringbuf"], "namespaces": ["a", "0-b"], "programs": null}`, &Delegate{
			Namespaces: []string{"a", "0-b"},
			Delegation: token.Delegation{Maps: 1 << unix.BPF_MAP_TYPE_USER_RINGBUF},
		}},
		{`{"attachTypes": ["sk_lookup"], "programs": ["sk_lookup"], "namespaces": ["` + strings.Repeat("x", 63) + `"]}`, &Delegate{
			Namespaces: []string{strings.Repeat("x", 63)},
			Delegation: token.Delegation{Programs: 1 << unix.BPF_PROG_TYPE_SK_LOOKUP, AttachTypes: 1 << unix.BPF_SK_LOOKUP},
		}},
	} {
		c, err := parsed(`{"cniVersion": "1.1.0", "name": "net", "podVolume": "bpffs", "delegate": ` + row.value + `}`)
		testns.Must(t, err)
		if diff := cmp.Diff(row.want, c.Delegate); diff != "" {
			t.Errorf("%s (-want +got):\n%s", row.value, diff)
		}
	}
}

func TestUnknownKeys(t *testing.T) {
	c, err := parsed(`{"cniVersion": "1.1.0", "name": "net", "type": "bpffs", "zzz": 1, "bpfroot": 2, "cni.dev/x": 3,
		"prevResult": {}, "runtimeConfig": {}, "capabilities": {}, "args": {}, "dns": {}, "ipam": {}, "ipMasq": true}`)
	testns.Must(t, err)
	if diff := cmp.Diff([]string{"bpfroot", "zzz"}, c.UnknownKeys()); diff != "" {
		t.Errorf("unknown keys (-want +got):\n%s", diff)
	}
}

func TestValidAttachments(t *testing.T) {
	for _, row := range []struct {
		keys string
		want map[types.GCAttachment]bool
		sent bool
	}{
		{``, nil, false},
		{`, "cni.dev/attachments": []`, nil, false},
		{`, "cni.dev/valid-attachments": null`, nil, true},
		{`, "cni.dev/valid-attachments": []`, nil, true},
		{`, "cni.dev/valid-attachments": [{"containerID": "c", "ifname": "eth0"}]`, map[types.GCAttachment]bool{{ContainerID: "c", IfName: "eth0"}: true}, true},
	} {
		c, err := parsed(`{"cniVersion": "1.1.0", "name": "net"` + row.keys + `}`)
		testns.Must(t, err)
		got, sent, err := c.ParseValidAttachments()
		if !maps.Equal(got, row.want) || sent != row.sent || err != nil {
			t.Errorf("%s: got %+v, sent %v, error %v; want %+v, sent %v", row.keys, got, sent, err, row.want, row.sent)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		`{"cniVersion": "1.1.0", "name": "net", "maps": [{"name": "a", "type": "array", "keySize": 4, "valueSize": 4, "maxEntries": 1}]}`,
		`{"name": "net", "maps": [{"name": "a", "inner": {}}, null, {}]}`, `{"name": "net", "maps": null, "mapPrefix": null}`,
		`{"name": "net", "podVolume": "v", "delegate": {"namespaces": ["a"], "maps": ["hash"], "programs": ["sched_cls"], "attachTypes": ["tcx_egress"]}}`,
		`{"name": "net", "delegate": {"namespaces": ["a", null], "maps": [{}], "programs": null}}`,
		`{"name": "net", "capabilities": {"io.kubernetes.cri.pod-annotations": true}, "maps": [{"name": "a", "type": "hash", "keySize": 4, "valueSize": 4, "maxEntries": 1, "optional": {"maxEntries": 9}}]}`,
		`{"name": "net", "runtimeConfig": {"io.kubernetes.cri.pod-annotations": {"bpffs/maps": ["a"]}}, "maps": [{"name": "a", "optional": null}]}`,
		`null`, `{"name": "n", "bpfRoot": "/", "cni.dev/valid-attachments": [null]}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, stdin string) {
		c, err := parsed(stdin)
		if err != nil {
			return
		}
		for _, m := range c.Maps {
			if bpffs.CheckMapName(m.Name) != nil || m.Spec.Check() != nil {
				t.Errorf("%s: accepted the map %v", stdin, m)
			}
		}
		for _, m := range c.LargestMaps() {
			if limit, optional := c.Limits[m.Name]; optional && (m.Spec.MaxEntries != limit || !m.Typed() || m.Spec.Check() != nil) {
				t.Errorf("%s: accepted the limit %d of the map %v", stdin, limit, m)
			}
		}
		if d := c.Delegate; d != nil && (len(d.Namespaces) == 0 || d.Maps|d.Programs == 0 || d.Check() != nil) {
			t.Errorf("%s: accepted the delegation %+v", stdin, d)
		}
		if _, err := bpffs.NewMapDir(c.Roots.Root, c.MapPrefix); err != nil {
			t.Errorf("%s: accepted, but: %v", stdin, err)
		}
		if _, _, err := c.ParseValidAttachments(); err != nil && json.Valid(c.keys["cni.dev/valid-attachments"]) && !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v is not a configuration error", stdin, err)
		}
	})
}

func TestBadValueCutsLongValues(t *testing.T) {
	for _, length := range []int{80, 81, 10_000} {
		err := badValue("key", json.RawMessage(strings.Repeat("x", length)), errors.New("wrong"))
		if shown := strings.Count(err.Error(), "x"); shown > 80 || strings.Contains(err.Error(), "…") != (length > 80) {
			t.Errorf("badValue of %d bytes shows %d of them: %v", length, shown, err)
		}
	}
}
