// Package lost releases the endpoints of pods that ended without a DEL. It asks no
// runtime: it goes by the network namespaces of the pods alone, and only by what it
// knows for certain.
package lost

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/gc"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/inventory"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/output"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/places"
)

// looks is how many looks there are until a namespace has been gone for long enough.
const looks = 10

// A Collector releases the endpoints of lost pods, again and again.
type Collector struct {
	ConfDir string        // the networks in it name the roots to look at
	Node    string        // the directory below which this process sees the node's; "/" on the node itself
	After   time.Duration // how long a network namespace must be gone
	Log     func(format string, args ...any)

	suspects suspects
	failed   map[record]string // what kept it from releasing one
	told     string            // the last error in the log
	released atomic.Int64
}

// Released returns how many endpoints were released. Others may call it while Run runs.
func (c *Collector) Released() int64 { return c.released.Load() }

// Run looks at the node ten times in the time After, until ctx is done.
func (c *Collector) Run(ctx context.Context) {
	start := time.Now()
	clock := func() time.Duration { return time.Since(start) } // nobody can set it
	tick := time.NewTicker(c.After / looks)
	defer tick.Stop()
	for ctx.Err() == nil {
		c.look(ctx, clock)
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// look looks at the node once, and releases what is lost.
func (c *Collector) look(ctx context.Context, clock func() time.Duration) {
	began := clock()
	all, err := c.records(ctx)
	found, gerr := c.gone(all)
	if err = errors.Join(err, gerr); ctx.Err() == nil {
		c.tell(err)
	}
	var lost map[record]bool
	lost, c.suspects = c.suspects.decide(found, began, clock(), c.After)
	if len(lost) > 0 {
		c.release(ctx, slices.DeleteFunc(all, func(r inventory.Record) bool { return !lost[markOf(r)] }))
	}
}

// records returns what is recorded at the roots that the configurations name.
func (c *Collector) records(ctx context.Context) ([]inventory.Record, error) {
	roots, err := places.Named(c.ConfDir, c.Node)
	return inventory.RecordsIn(ctx, roots, err)
}

// gone returns the records whose network namespaces are gone. The error says why that is
// not known of others.
func (c *Collector) gone(all []inventory.Record) (found []record, err error) {
	if !slices.ContainsFunc(all, func(r inventory.Record) bool { return nameOf(r.Details.NetNS) != "" }) {
		return nil, nil
	}
	d, err := openDirectory(c.Node)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	missing := 0
	for _, r := range all {
		switch d.look(r) {
		case gone:
			found = append(found, markOf(r))
		case elsewhere:
			missing++
		}
	}
	if missing > 0 {
		err = fmt.Errorf("in %s the network namespace of %s is missing, but it was not seen there at ADD: "+
			"an older version of the plugin made it, or another node that shares the bpffs; bpffsctl gc asks the runtime", d.Name(), output.Count(missing, "endpoint", "endpoints"))
	}
	return found, err
}

func markOf(r inventory.Record) record { return record{r.Root, r.ID, r.Stamp} }

// release releases the endpoints, and tells of each what came of it.
func (c *Collector) release(ctx context.Context, lost []inventory.Record) {
	all := make([]gc.Decision, len(lost))
	for i, r := range lost {
		all[i] = gc.Decision{Record: r, Action: gc.Remove}
	}
	gc.Do(ctx, all, c.stays)
	failed := make(map[record]string)
	for _, d := range all {
		mark := markOf(d.Record)
		switch {
		case d.Action == gc.Removed:
			c.released.Add(1)
			c.Log("released %s: no DEL came, and %s has been gone for %v", describe(d.Identity()), d.Details.NetNS, c.After)
		case d.Action == gc.Failed && ctx.Err() == nil: // else it is the end that stopped it
			failed[mark] = d.Reason
			if c.failed[mark] != d.Reason {
				c.Log("%s stays, though %s has been gone for %v: %s", describe(d.Identity()), d.Details.NetNS, c.After, d.Reason)
			}
		}
	}
	c.failed = failed
}

// describe says in a message which endpoint it is.
func describe(e inventory.Identity) string {
	pod := ""
	if e.Pod() != "" {
		pod = "pod " + e.Pod() + ", "
	}
	return fmt.Sprintf("endpoint %s at %s (%scontainer %s, %s on %s)",
		output.ID(e.ID), e.Root, pod, inventory.ShortContainer(e.Container), e.Interface, e.Network)
}

// stays returns why the network namespace of the record is not gone any more, or why
// that is not known.
func (c *Collector) stays(r inventory.Record) error {
	found, err := c.gone([]inventory.Record{r})
	if err == nil && len(found) == 0 {
		err = errors.New("its network namespace is there again")
	}
	return err
}

// tell logs why lost endpoints may stay, once.
func (c *Collector) tell(err error) {
	now := ""
	if err != nil {
		now = err.Error()
	}
	if now != c.told && err != nil {
		c.Log("endpoints of lost pods stay: %v", err)
	}
	c.told = now
}
