package netconf

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

const (
	able     = `"capabilities": {"io.kubernetes.cri.pod-annotations": true}, `
	shape    = `"type": "hash", "keySize": 4, "valueSize": 8, "maxEntries": 16`
	optional = able + `"maps": [
		{"name": "flows_", ` + shape + `, "optional": {"maxEntries": 4096}},
		{"name": "stats_", ` + shape + `},
		{"name": "events_", "type": "ringbuf", "maxEntries": 4096, "optional": {"maxEntries": 16384}},
		{"name": "conns_", ` + shape + `, "optional": {}},
		{"name": "cpus_", "type": "perf_event_array", "keySize": 4, "valueSize": 4, "optional": {}}]`
)

// withAnnotations returns the keys with annotations of the pod as the runtime sends them.
func withAnnotations(keys, annotations string) string {
	return fmt.Sprintf(`{"cniVersion": "1.1.0", "name": "net", "runtimeConfig": {%q: %s}, %s}`, capability, annotations, keys)
}

func withAnnotation(keys, text string) string {
	quoted, _ := json.Marshal(text) // a string
	return withAnnotations(keys, `{"a/b": "c", "bpffs/maps": `+string(quoted)+`}`)
}

// entries returns the entries of the maps by their names.
func entries(c *Config) map[string]uint32 {
	all := make(map[string]uint32)
	for _, m := range c.Maps {
		all[m.Name] = m.Spec.MaxEntries
	}
	return all
}

func TestPodGetsTheMapsThatItAsksFor(t *testing.T) {
	for _, row := range []struct {
		stdin string
		want  map[string]uint32
	}{
		{`{"cniVersion": "1.1.0", "name": "net", ` + optional + `}`, map[string]uint32{"stats_": 16}},
		{withAnnotations(optional, `null`), map[string]uint32{"stats_": 16}},
		{withAnnotations(optional, `{"bpffs/Maps": "flows_", "bpffs": "flows_"}`), map[string]uint32{"stats_": 16}},
		{withAnnotation(optional, ""), map[string]uint32{"stats_": 16}},
		{withAnnotation(optional, "flows_"), map[string]uint32{"stats_": 16, "flows_": 16}},
		{withAnnotation(optional, "flows_=4096"), map[string]uint32{"stats_": 16, "flows_": 4096}},
		{withAnnotation(optional, "flows_=1,conns_=16"), map[string]uint32{"stats_": 16, "flows_": 1, "conns_": 16}},
		{withAnnotation(optional, "events_=8192,conns_,flows_=7"), map[string]uint32{"stats_": 16, "events_": 8192, "conns_": 16, "flows_": 7}},
		{withAnnotation(optional, "cpus_"), map[string]uint32{"stats_": 16, "cpus_": 0}},
		{withAnnotation(`"maps": [{"name": "stats_", `+shape+`, "optional": null}]`, ""), map[string]uint32{"stats_": 16}},
		{withAnnotation(strings.TrimPrefix(optional, able), "flows_"), map[string]uint32{"stats_": 16, "flows_": 16}},
	} {
		c, err := parsed(row.stdin)
		testns.Must(t, err)
		before := entries(c)
		pod, err := c.ForPod()
		testns.Must(t, err)
		if diff := cmp.Diff(row.want, entries(pod)); diff != "" {
			t.Errorf("%s: the pod's maps (-want +got):\n%s", row.stdin, diff)
		}
		if diff := cmp.Diff(before, entries(c)); diff != "" {
			t.Errorf("%s: ForPod changed the configuration itself (-before +after):\n%s", row.stdin, diff)
		}
	}
}

func TestAnnotationIsRefused(t *testing.T) {
	for _, row := range []struct{ text, says string }{
		{"flows_=4097", `"flows_=4097": more entries than allowed; a pod can ask for flows_ (at most 4096), events_ (at most 16384), conns_ (at most 16), cpus_; write`},
		{"conns_=17", `"conns_=17": more entries than allowed`},
		{"cpus_=1", `"cpus_=1": more entries than allowed`},
		{"flows_=4294967297", "more entries than allowed"},
		{"flows_=99999999999999999999999", "more entries than allowed"},
		{"flows_=0", "a whole number of at least 1"},
		{"flows_=", "a whole number of at least 1"},
		{"flows_=-1", "a whole number of at least 1"},
		{"flows_=0x10", "a whole number of at least 1"},
		{"flows_=1.5", "a whole number of at least 1"},
		{"flows_=1=2", "a whole number of at least 1"},
		{"flows_= 1", "a whole number of at least 1"},
		{"events_=5000", "a power of two"},
		{"stats_", `"stats_": the network has no such optional map`},
		{"other_=1", `"other_=1": the network has no such optional map`},
		{"FLOWS_", "no such optional map"},
		{"flows_,", `"": the network has no such optional map`},
		{",", "no such optional map"},
		{" ", "no such optional map"},
		{"flows_, conns_", `" conns_": the network has no such optional map`},
		{"flows_;conns_", "no such optional map"},
		{"\x1b[2J\n", `"\x1b[2J\n": the network`},
		{"flows_,flows_", "the map is named twice"},
		{"flows_=1,conns_,flows_=2", `"flows_=2": the map is named twice`},
		{strings.Repeat("x", 4097), "4097 bytes are too long, the limit is 4096"},
		{strings.Repeat("x", 4096), "no such optional map"},
	} {
		c, err := parsed(withAnnotation(optional, row.text))
		testns.Must(t, err)
		_, err = c.ForPod()
		wantRefused(t, row.text, err, row.says)
	}
	for _, keys := range []string{`"maps": []`, able + `"maps": [{"name": "flows_"}]`, `"maps": [{"name": "flows_", ` + shape + `}]`} {
		c, err := parsed(withAnnotation(keys, "flows_"))
		testns.Must(t, err)
		_, err = c.ForPod()
		wantRefused(t, keys, err, "this network has no optional maps")
	}
}

// wantRefused wants an error that a pod's events can show.
func wantRefused(t *testing.T, of string, err error, says string) {
	t.Helper()
	const limit = 1000
	if !errors.Is(err, ErrAnnotation) || !strings.Contains(err.Error(), "annotation bpffs/maps") || !strings.Contains(err.Error(), says) {
		t.Errorf("%.100q: got the error %v, want one of the annotation with %s", of, err, says)
		return
	}
	if text := err.Error(); len(text) > limit || strings.ContainsFunc(text, unicode.IsControl) {
		t.Errorf("%.100q: got the error %q, want at most %d bytes and no control characters", of, text, limit)
	}
}

func TestManyOptionalMapsKeepTheErrorShort(t *testing.T) {
	for _, count := range []int{5, 6, 1000} {
		var maps []string
		for i := range count {
			maps = append(maps, fmt.Sprintf(`{"name": "m%d_", %s, "optional": {}}`, i, shape))
		}
		c, err := parsed(withAnnotation(able+`"maps": [`+strings.Join(maps, ",")+`]`, "x"))
		testns.Must(t, err)
		_, err = c.ForPod()
		wantRefused(t, fmt.Sprint(count, " maps"), err, "m4_ (at most 16)")
		if want := fmt.Sprintf("and %d more", count-5); strings.Contains(err.Error(), want) != (count > 5) {
			t.Errorf("%d optional maps: got the error %v", count, err)
		}
	}
}

func TestOptionalMapsAreChecked(t *testing.T) {
	decl := func(keys, value string) string {
		return able + `"maps": [{"name": "a", ` + keys + `"optional": ` + value + `}]`
	}
	for _, row := range []struct{ keys, want string }{
		{decl(shape+", ", `true`), `maps[0].optional: true: it is true or false but must be an object`},
		{decl(shape+", ", `4096`), `maps[0].optional: 4096`},
		{decl(shape+", ", `{"entries": 1}`), `maps[0].optional.entries: 1: there is no such key`},
		{decl(shape+", ", `{"maxEntries": "1"}`), `maps[0].optional.maxEntries: "1"`},
		{decl(shape+", ", `{"maxEntries": -1}`), `maps[0].optional.maxEntries: -1`},
		{decl(shape+", ", `{"maxEntries": 15}`), `maps[0].optional.maxEntries: 15: map a: less than the map's own maxEntries, 16`},
		{decl(`"type": "ringbuf", "maxEntries": 4096, `, `{"maxEntries": 5000}`), `maps[0].optional.maxEntries: 5000: map a: maxEntries: a map of type ringbuf`},
		{decl(`"type": "hash", "keySize": 4, "valueSize": 8, `, `{"maxEntries": 5000}`), `maps[0].maxEntries: missing`},
		{decl(``, `{}`), `maps[0].optional: {}: map a has no type`},
		{decl(``, `{"maxEntries": 5}`), `map a has no type`},
		{strings.TrimPrefix(optional, able), `capabilities: missing: the network has optional maps`},
		{strings.Replace(optional, "true", "false", 1), `capabilities: {"io.kubernetes.cri.pod-annotations": false}: the network has optional maps`},
		{strings.Replace(optional, "io.kubernetes.cri.pod-annotations", "portMappings", 1), `add "capabilities": {"io.kubernetes.cri.pod-annotations": true} to the plugin`},
		{strings.Replace(optional, "true", "1", 1), `capabilities: {"io.kubernetes.cri.pod-annotations": 1}`},
		{`"runtimeConfig": [], ` + optional, `runtimeConfig: []: it is an array but must be an object`},
	} {
		_, err := parsed(`{"cniVersion": "1.1.0", "name": "net", ` + row.keys + `}`)
		if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: got the error %v, want a configuration error with %s", row.keys, err, row.want)
		}
	}
}

func TestAnnotationsOfAnotherKind(t *testing.T) {
	for _, row := range []struct{ annotations, want string }{
		{`"flows_"`, `runtimeConfig.io.kubernetes.cri.pod-annotations: "flows_": it is a string but must be an object`},
		{`["flows_"]`, `runtimeConfig.io.kubernetes.cri.pod-annotations: ["flows_"]`},
		{`{"bpffs/maps": ["flows_"]}`, `runtimeConfig.io.kubernetes.cri.pod-annotations.bpffs/maps: ["flows_"]: it is an array but must be a string`},
		{`{"bpffs/maps": {"flows_": 4096}}`, `bpffs/maps: {"flows_": 4096}`},
		{`{"bpffs/maps": 4096}`, `bpffs/maps: 4096`},
	} {
		c, err := parsed(withAnnotations(optional, row.annotations))
		testns.Must(t, err)
		if _, err := c.ForPod(); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: got the error %v, want a configuration error with %s", row.annotations, err, row.want)
		}
	}
}

func TestLargestMaps(t *testing.T) {
	c, err := parsed(withAnnotation(optional, "flows_=1"))
	testns.Must(t, err)
	got := make(map[string]uint32)
	for _, m := range c.LargestMaps() {
		got[m.Name] = m.Spec.MaxEntries
	}
	want := map[string]uint32{"flows_": 4096, "stats_": 16, "events_": 16384, "conns_": 16, "cpus_": 0}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the largest maps (-want +got):\n%s", diff)
	}
}

func FuzzForPod(f *testing.F) {
	for _, seed := range []string{"", "flows_=4096", "flows_,events_=8192", "flows_=0", ",", "cpus_=1", "flows_=1,flows_", "\xff=\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parsed(withAnnotation(optional, text))
		testns.Must(t, err)
		pod, err := c.ForPod()
		if err != nil {
			wantRefused(t, text, err, "a pod can ask for flows_ (at most 4096)")
			return
		}
		for _, m := range pod.Maps {
			limit, optional := c.Limits[m.Name]
			if optional && (m.Spec.MaxEntries > limit || !strings.Contains(text, m.Name)) || m.Spec.Check() != nil {
				t.Errorf("%q: accepted the map %v, the limit is %d", text, m, limit)
			}
		}
	})
}
