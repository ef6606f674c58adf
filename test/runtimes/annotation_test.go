package runtimes

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

// offering returns bpffs with a map for which pods can ask by annotation.
func offering() string {
	return strings.NewReplacer(`{"type": "bpffs", `, `{"type": "bpffs", "capabilities": {"io.kubernetes.cri.pod-annotations": true}, `,
		`{"name": "policy_"},`, `{"name": "policy_"}, {"name": "flows_", "type": "hash", "keySize": 4, "valueSize": 8,
			"maxEntries": 16, "optional": {"maxEntries": 4096}},`).Replace(ours)
}

func TestAnnotation(t *testing.T) {
	if !onNode(t) {
		return
	}
	for _, row := range []struct{ runtime, version string }{{"2.4", "1.1.0"}, {"1.6", "1.0.0"}} {
		t.Run(row.runtime, func(t *testing.T) {
			rt := newContainerd(t, row.runtime)
			works(t, rt.subject(), "a pod asks for a map by its annotation; what it cannot have is in the error")
			rt.network(t, conflist(row.version, offering()))
			for _, asks := range []struct {
				name, text string
				entries    uint32
			}{{"unasked", "", 0}, {"asked", "flows_", 16}, {"asked-for-many", "flows_=4096", 4096}} {
				p := rt.newPod(t, asks.name)
				p.annotate(asks.text)
				must(t, p.run)
				p.wantFlows(t, asks.entries)
				p.end(t)
			}
			p := rt.newPod(t, "asked-for-too-many")
			p.annotate("flows_=4097")
			const says = `annotation bpffs/maps: "flows_=4097": more entries than allowed; a pod can ask for flows_ (at most 4096)`
			if err := p.run(t.Context()); err == nil || !strings.Contains(err.Error(), says) {
				t.Errorf("a pod that asks for too many entries: got the error %v, want one with %s", err, says)
			}
			nothingLeft(t)
		})
	}
}

// annotate lets the pod ask for maps, unless text is empty.
func (p *pod) annotate(text string) {
	if text != "" {
		p.config.Annotations = map[string]string{"a/b": "c", "bpffs/maps": text}
	}
}

// wantFlows wants the pod to have the map flows_ with that many entries, or none.
func (p *pod) wantFlows(t *testing.T, entries uint32) {
	t.Helper()
	path := filepath.Join(mapDir, bpffs.LocalMapName("flows_", pinned(t, p.id).ID))
	found, err := filepath.Glob(path)
	testns.Must(t, err)
	if has := len(found) > 0; has != (entries > 0) {
		t.Errorf("the pod has %s: %v, want %v", path, has, entries > 0)
	}
	if len(found) == 0 {
		return
	}
	info, err := bpffs.ReadMap(path)
	testns.Must(t, err)
	if info.Spec.MaxEntries != entries {
		t.Errorf("%s: got %d entries, want %d", path, info.Spec.MaxEntries, entries)
	}
}
