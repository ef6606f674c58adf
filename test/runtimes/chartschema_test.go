package runtimes

import (
	"encoding/json"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cni-bpffs/cni-bpffs/internal/netconf"
	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// TestChartRefuses: what is written wrongly is refused before the cluster sees it, and
// named.
func TestChartRefuses(t *testing.T) {
	for _, tt := range []struct{ values, named string }{
		{"bindir: /opt/cni/bin", "'bindir'"},
		{"binDir: opt/cni/bin", "/binDir"},
		{"confDir: 1", "/confDir"},
		{"image: {repo: x}", "'repo'"},
		{"image: {tag: 1.10}", "/image/tag"},
		{"image: {digest: 0f0f}", "/image/digest"},
		{"imagePullSecrets: [registry]", "/imagePullSecrets/0"},
		{"network: [cbr0]", "/network"},
		{"mode: dropin", "/mode"},
		{"metrics: true", "/metrics"},
		{"metrics: localhost", "/metrics"},
		{"policy: true", "/policy"},
		{"policy: {podVolumes: [\"x'] + ['y\"]}", "/policy/podVolumes/0"},
		{"otherOwner: 'false'", "/otherOwner"},
		{"nodeSelector: {pool: true}", "/nodeSelector/pool"},
		{"maxUnavailable: 0", "/maxUnavailable"},
		{"maxUnavailable: 0%", "/maxUnavailable"},
		{"config: {type: other}", "/config/type"},
		{"config: {bpfRoot: run/bpf}", "/config/bpfRoot"},
		{"config: {podvolume: bpffs}", "'podvolume'"},
		{"config: {podVolume: \"x']\"}", "/config/podVolume"},
		{"config: {maps: {name: a_}}", "/config/maps"},
		{"config: {maps: [{type: hash}]}", "/config/maps/0"},
		{"config: {maps: [{name: a_, maxentries: 1}]}", "'maxentries'"},
		{"config: {maps: [{name: a_, maxEntries: '1'}]}", "/config/maps/0/maxEntries"},
		{"config: {maps: [{name: a_, flags: 4294967296}]}", "/config/maps/0/flags"},
		{"config: {maps: [{name: a_, pod: r}]}", "/config/maps/0/pod"},
		{"config: {delegate: {programs: [sched_cls]}}", "/config/delegate"},
	} {
		if text, err := helmTemplate(t, chartDir, values(t, tt.values)); err == nil || !strings.Contains(err.Error(), tt.named) {
			t.Errorf("%s: got %s, %v, want an error that names %s", tt.values, text, err, tt.named)
		}
	}
}

// everyKey is a configuration with each key that there is.
const everyKey = `{
	"type": "bpffs", "capabilities": {"io.kubernetes.cri.pod-annotations": true}, "cni.dev/any": 1,
	"bpfRoot": "/sys/fs/bpf", "bpfFallback": "/run/cilium/bpffs", "mapPrefix": "tc/globals",
	"podVolume": "bpffs", "kubeletDir": "/var/lib/kubelet",
	"delegate": {"namespaces": ["a"], "maps": ["hash"], "programs": ["sched_cls"], "attachTypes": ["tcx_ingress"]},
	"maps": [
		{"name": "a_", "type": "array", "keySize": 4, "valueSize": 8, "maxEntries": 1, "flags": 0, "frozen": true, "pod": "ro"},
		{"name": "b_", "type": "array_of_maps", "keySize": 4, "valueSize": 4, "maxEntries": 1,
		 "inner": {"type": "array", "keySize": 4, "valueSize": 8, "maxEntries": 1, "flags": 0}},
		{"name": "c_", "type": "hash", "keySize": 4, "valueSize": 8, "maxEntries": 1, "optional": {"maxEntries": 2}},
		{"name": "d_"}
	]
}`

// A schema is as much of deploy/chart/values.schema.json as is looked at.
type schema struct {
	Properties, Definitions map[string]schema
}

func chartSchema(t *testing.T) (s schema) {
	t.Helper()
	text, err := os.ReadFile(chartDir + "/values.schema.json")
	testns.Must(t, err)
	testns.Must(t, json.Unmarshal(text, &s))
	return s
}

// TestChartKnowsEveryKey: the schema takes the keys that the plugin takes, no other ones.
func TestChartKnowsEveryKey(t *testing.T) {
	config, err := netconf.Parse([]byte(strings.Replace(everyKey, "{", `{"cniVersion": "1.0.0", "name": "n", `, 1)))
	testns.Must(t, err)
	if err := config.ParseAll(); err != nil || len(config.UnknownKeys()) != 0 {
		t.Errorf("the plugin about %s: got %v and the unknown keys %q, want none", everyKey, err, config.UnknownKeys())
	}
	if got := chart(t, values(t, "config: "+everyKey)).config.Data["bpffs.json"]; sorted(t, got) != sorted(t, everyKey) {
		t.Errorf("bpffs.json: got %s, want %s", got, everyKey)
	}
	known := chartSchema(t).Definitions
	plugin, element := known["config"].Properties, known["map"].Properties
	delete(plugin, "capabilities") // is CNI's
	for table, keys := range map[int]map[string]schema{0: plugin, 1: element, 2: element["optional"].Properties, 3: plugin["delegate"].Properties} {
		if diff := cmp.Diff(documentedKeys(t)[table], slices.Sorted(maps.Keys(keys))); diff != "" {
			t.Errorf("table %d of docs/configuration.md and the schema (-want +got):\n%s", table, diff)
		}
	}
}

// documentedKeys returns the keys in each table of keys of docs/configuration.md, sorted.
func documentedKeys(t *testing.T) (tables [][]string) {
	t.Helper()
	page, err := os.ReadFile(top + "/docs/configuration.md")
	testns.Must(t, err)
	for _, table := range strings.Split(string(page), "\n| key ")[1:] {
		table, _, _ = strings.Cut(table, "\n\n")
		var keys []string
		for _, row := range strings.Split(table, "\n| ")[1:] {
			cell, _, _ := strings.Cut(row, " | ")
			for _, key := range regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(cell, -1) {
				keys = append(keys, key[1])
			}
		}
		slices.Sort(keys)
		tables = append(tables, keys)
	}
	return tables
}
