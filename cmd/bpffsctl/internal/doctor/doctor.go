// Package doctor looks for what is wrong with the plugin bpffs on a node: in the
// kernel, the mounts, the records, the network configurations and the container
// runtime. It changes nothing and never waits for long.
//
// Each file looks at one subject and decides in functions of their own, which
// take what was seen as data.
package doctor

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/cnidirs"
)

// Options say where to look.
type Options struct {
	cnidirs.Request

	Root    string // of the bpffs; empty: what the network configurations say, else the default
	Version string // which the plugin should have

	// Patience is how long to wait for a lock, for the plugin, and for the
	// runtime. The zero value means three seconds.
	Patience time.Duration
}

const usualPatience = 3 * time.Second

// A check has a name and looks at the node.
type check struct {
	name string
	run  func(context.Context, *node) []Finding
}

// checks returns all of them, in the order in which a person repairs a node.
func checks() []check {
	return []check{
		{"privilege", func(context.Context, *node) []Finding { return decidePrivilege(os.Geteuid()) }},
		{"kernel-version", checkKernelVersion},
		{"kernel-filesystem", checkKernelFilesystem},
		{"kernel-bpf", func(context.Context, *node) []Finding { return decideKernelBPF(createMap()) }},
		{"mount-namespace", checkMountNamespace},
		{"root", eachSite(decideRoot)},
		{"propagation", eachSite(decidePropagation)},
		{"directories", eachSite(decideDirectories)},
		{"lock", eachSite(decideLock)},
		{"records", eachSite(decideRecords)},
		{"pins", eachSeen(decidePins)},
		{"pod-views", checkViews},
		{"network-namespaces", eachSeen(decideNetNS)},
		{"leftovers", eachSeen(decideLeftovers)},
		{"foreign-pins", eachSeen(decideForeign)},
		{"pods-without-endpoint", checkPods},
		{"endpoint-ids", eachSeen(decideFree)},
		{"runtime-directories", func(_ context.Context, n *node) []Finding { return decideDirs(n.dirs(), n.install()) }},
		{"plugin", checkPlugin},
		{"networks", whereRead(func(_ context.Context, n *node) []Finding {
			return decideNetworks(n.networks(), n.runtime().Version, n.install)
		})},
		{"chain", func(_ context.Context, n *node) []Finding { return decideChain(n.networks(), n.install) }},
		{"cni-version", func(_ context.Context, n *node) []Finding {
			return decideCNIVersion(n.networks(), n.runtime(), n.plugin().supports, n.install)
		}},
		{"drop-ins", func(_ context.Context, n *node) []Finding { return decideDropIns(n.networks(), n.runtime(), n.install) }},
		{"plugin-configuration", checkPluginConfig},
		{"pod-volumes", checkPodVolumes},
		{"runtime", func(_ context.Context, n *node) []Finding { return decideRuntime(n.runtime()) }},
		{"runtime-networks", whereRead(func(_ context.Context, n *node) []Finding { return decideLoaded(n.networks(), n.runtime()) })},
		{"runtime-namespace", checkRuntimeNamespace},
	}
}

// Run returns what all checks find, at least one finding of each. A user who is
// not root sees so little that it is all that is said.
func Run(ctx context.Context, o Options) []Finding {
	if o.Patience == 0 {
		o.Patience = usualPatience
	}
	n := newNode(ctx, o)
	all := checks()
	found := make([][]Finding, len(all))
	var wg sync.WaitGroup
	for i, c := range all {
		wg.Go(func() { found[i] = c.within(ctx, n) })
	}
	wg.Wait()
	var findings []Finding
	for _, f := range found {
		findings = append(findings, f...)
		if i := findings[0]; i.Check == "privilege" && i.Status == Failure {
			break
		}
	}
	return findings
}

// within runs the check, but does not wait for a file system or a process that
// does not answer. Whatever has a limit of its own ends before.
func (c check) within(ctx context.Context, n *node) []Finding {
	done := make(chan []Finding, 1)
	go func() { done <- c.run(ctx, n) }()
	var found []Finding
	select {
	case found = <-done:
	case <-time.After(n.limit):
		found = []Finding{{
			Looked: "this node", Status: Failure, Detail: fmt.Sprintf("no answer after %v", n.limit),
			Fix: "look for processes in state D: ps -eo pid,stat,wchan:32,args",
		}}
	}
	for i := range found {
		found[i].Check = c.name
	}
	return found
}
