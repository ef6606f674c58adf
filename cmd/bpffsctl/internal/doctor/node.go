package doctor

import (
	"context"
	"sync"
	"time"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/cnidirs"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/conflist"
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
	runtime  func() criRuntime
	dirs     func() cnidirs.Dirs
}

func newNode(ctx context.Context, o Options) *node {
	n := &node{Options: o, limit: o.Patience + enough}
	n.runtime = sync.OnceValue(func() criRuntime { return lookAtRuntime(ctx, o.CRISocket, o.Patience) })
	n.dirs = sync.OnceValue(func() cnidirs.Dirs { return cnidirs.Of(o.Request, n.runtime().Runtime) })
	n.networks = sync.OnceValue(func() networks { return readNetworks(n.dirs().Conf) })
	n.plugin = sync.OnceValue(func() binary { return lookAtPlugin(ctx, n.dirs().Having(conflist.PluginType)[0], o.Patience) })
	n.sites = sync.OnceValue(func() []site {
		var all []site
		for _, p := range n.places() {
			all = append(all, lookAt(ctx, p, o.Patience))
		}
		if o.Root != "" {
			return all
		}
		return append(all, elsewhere(ctx, all, o.Patience)...)
	})
	return n
}

// A place is where a configuration has the bpffs, and what it keeps there.
type place struct {
	socket string // which was given for the runtime
	roots  bpffs.Roots
	prefix string
	names  []string // the declared names of local maps
	known  bool     // whether a configuration says them
}

// places returns every place that the network configurations name, and the
// default if they name none.
func (n *node) places() []place {
	var all []place
	for _, p := range n.networks().places() {
		if n.Root != "" {
			p.roots = bpffs.Roots{Root: n.Root}
		}
		p.socket = n.CRISocket
		all = addPlace(all, p)
	}
	if len(all) == 0 {
		all = []place{{socket: n.CRISocket, roots: bpffs.Roots{Root: n.Root}}}
	}
	return all
}

// addPlace adds p, or only its names if the place is known.
func addPlace(all []place, p place) []place {
	for i, known := range all {
		if known.roots == p.roots && known.prefix == p.prefix {
			all[i].names = append(known.names, p.names...)
			return all
		}
	}
	return append(all, p)
}

// elsewhere returns what is in the other roots where DEL and GC look, of those
// that have endpoints: they are from before the configuration was changed, or
// from when another file system was mounted at the default.
func elsewhere(ctx context.Context, known []site, patience time.Duration) (more []site) {
	seen := make(map[string]bool)
	tops := make(map[inode]bool) // of a bpffs, which several roots can show
	for _, s := range known {
		seen[s.path], tops[s.top] = true, true
	}
	for _, k := range known {
		for _, root := range k.roots.All() {
			if seen[root] {
				continue
			}
			p := k.place
			p.roots = bpffs.Roots{Root: root}
			s := lookAt(ctx, p, patience)
			if len(s.seen.Endpoints) > 0 && !seen[s.path] && !tops[s.top] {
				more = append(more, s)
			}
			seen[root], seen[s.path], tops[s.top] = true, true, true
		}
	}
	return more
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
			return notLooked(s.path, because)
		}
		return decide(s)
	})
}
