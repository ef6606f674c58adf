package integration

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

// An agent that watches is told of each pod that the plugin, another process, attaches
// and detaches: with all that ADD records, and after the maps were pinned.
func TestWatch(t *testing.T) {
	p := newNode(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	synced, seen := make(chan bool), make(chan bpffs.Event)
	tellSynced := sync.OnceFunc(func() { close(synced) })
	go func() {
		defer close(seen)
		defer tellSynced()
		for event, err := range bpffs.Watch(ctx, defaultRoot) {
			switch {
			case err != nil:
				if ctx.Err() == nil {
					t.Error(err)
				}
				return
			case event.Kind == bpffs.Synced:
				tellSynced()
			default:
				if event.Kind == bpffs.Added && !isThere(event.Endpoint.Pin("stats_")) {
					t.Errorf("told of %v: its map is not pinned", event.Endpoint.Attachment)
				}
				seen <- event
			}
		}
	}()
	<-synced // where no bpffs is mounted yet
	withMap := conf(keys{"maps": []keys{{"name": "stats_", "type": "array", "keySize": 4, "valueSize": 8, "maxEntries": 1}}})
	for _, name := range []string{"a", "b"} {
		pod := newPod(t, name)
		env := []string{"CNI_CONTAINERID=" + name, "CNI_NETNS=" + pod.NetNS, "CNI_ARGS=K8S_POD_NAMESPACE=ns;K8S_POD_NAME=" + name}
		p.Succeed(t, "ADD", withMap, env...)
		expectTold(t, <-seen, bpffs.Added, name, pod.NetNS)
		found, err := bpffs.LookUp(t.Context(), defaultRoot, bpffs.Query{Pod: "ns/" + name, NetNS: pod.NetNS, ContainerID: name})
		testns.Must(t, err)
		if len(found) != 1 || found[0].Attachment.ContainerID != name {
			t.Errorf("LookUp of %s: got %v, want its endpoint", name, found)
		}
		p.Succeed(t, "ADD", withMap, env...) // again, which tells nothing
		p.Succeed(t, "DEL", withMap, env...)
		expectTold(t, <-seen, bpffs.Removed, name, pod.NetNS)
	}
	cancel()
	for event := range seen {
		t.Errorf("told besides: %+v", event)
	}
}

func expectTold(t *testing.T, event bpffs.Event, kind bpffs.EventKind, name, netns string) {
	t.Helper()
	ep := event.Endpoint
	if event.Kind != kind || ep.Attachment.ContainerID != name || ep.Details.Pod != "ns/"+name || ep.Details.NetNS != netns {
		t.Errorf("told: got %+v, want %s of %s", event, kind, name)
	}
}
