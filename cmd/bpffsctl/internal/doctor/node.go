package doctor

import (
	"context"
	"sync"
	"time"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/cnidirs"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/conflist"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/places"
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

// enough is how long a check may take beside waiting: reading the records of a
// full node takes a few seconds.
const enough = 20 * time.Second

// node is what several checks look at, each looked at once, by whoever comes
// first.
type node struct {
	Options
	limit    time.Duration // of a check
	networks func() networks
	sites    func() []site
	plugin   func() binary
	runtime  func() cnidirs.Runtime
	dirs     func() cnidirs.Dirs
}

func newNode(ctx context.Context, o Options) *node {
	n := &node{Options: o, limit: o.Patience + enough}
	n.runtime = sync.OnceValue(func() cnidirs.Runtime { return cnidirs.Ask(ctx, o.CRISocket, o.Patience) })
	n.dirs = sync.OnceValue(func() cnidirs.Dirs { return cnidirs.Of(o.Request, n.runtime()) })
	n.networks = sync.OnceValue(func() networks { return readNetworks(n.dirs().Conf) })
	n.plugin = sync.OnceValue(func() binary { return lookAtPlugin(ctx, n.dirs().Having(conflist.PluginType)[0], o.Patience) })
	n.sites = sync.OnceValue(func() (all []site) {
		for _, p := range places.Find(n.where()) {
			if s := n.lookAt(ctx, p); !s.isEmpty() {
				all = append(all, s)
			}
		}
		return all
	})
	return n
}

// where returns where to look for endpoints.
func (n *node) where() places.Where {
	return places.Where{Roots: bpffs.Roots{Root: n.Root}, ConfDir: n.dirs().Conf}
}

// eachSite returns a check that decides on every place by itself.
func eachSite(decide func(site) []Finding) func(context.Context, *node) []Finding {
	return func(_ context.Context, n *node) []Finding {
		var found []Finding
		for _, s := range n.sites() {
			found = append(found, decide(s)...)
		}
		return found
	}
}

// eachSeen is eachSite for whoever needs the records.
func eachSeen(decide func(site) []Finding) func(context.Context, *node) []Finding {
	return eachSite(func(s site) []Finding {
		if because := s.hindered(); because != "" {
			return notLooked(s.Path, because)
		}
		return decide(s)
	})
}
