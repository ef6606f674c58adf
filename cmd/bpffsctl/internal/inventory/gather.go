package inventory

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/places"
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

// Choose returns endpoints of [Records] with what the kernel says of them. choose
// gets all as they are recorded, and returns those that the kernel is to be asked
// about. That happens after the records were closed, so that no ADD waits for it.
func Choose(ctx context.Context, where places.Where, choose func([]Endpoint) []Endpoint) ([]Endpoint, error) {
	roots, err := Roots(where)
	return ChooseIn(ctx, roots, err, choose)
}

// ChooseIn is [Choose] where the roots are known. seen is the error of the look for them.
func ChooseIn(ctx context.Context, roots []string, seen error, choose func([]Endpoint) []Endpoint) ([]Endpoint, error) {
	records, err := RecordsIn(ctx, roots, seen)
	all := choose(recorded(records))
	if lookAll(ctx, all); ctx.Err() != nil {
		return nil, ctx.Err()
	}
	all, rerr := dropReleased(ctx, all)
	return all, errors.Join(err, rerr)
}

// Identity says which endpoint is recorded.
func (r *Record) Identity() Identity {
	namespace, pod, found := strings.Cut(r.Details.Pod, "/")
	if !found {
		namespace, pod = "", r.Details.Pod
	}
	return Identity{
		ID: r.ID, Network: r.Attachment.Network, Container: r.Attachment.ContainerID, Interface: r.Attachment.IfName,
		PodNamespace: namespace, PodName: pod, NetNS: r.Details.NetNS,
		Created: r.Created.UTC().Truncate(time.Second), Root: r.Root,
	}
}

// recorded returns the endpoints as they are recorded, also which map the plugin made.
func recorded(records []Record) []Endpoint {
	all := make([]Endpoint, len(records))
	for i, r := range records {
		all[i] = Endpoint{Identity: r.Identity(), Pins: make([]Pin, len(r.Pins)), PodUID: r.PodUID, PodMounts: r.PodMounts}
		for j, path := range r.Pins {
			all[i].Pins[j].Path, all[i].Pins[j].MapID = path, r.MapIDs[path]
			if !slices.Contains(r.Maps, path) {
				all[i].Pins[j].Kind = Reserved
			}
		}
		if r.Err != nil {
			all[i].Error = r.Err.Error()
		}
	}
	return all
}

// lookAll looks at all endpoints, at as many at once as there are processors.
func lookAll(ctx context.Context, all []Endpoint) {
	var next atomic.Int64
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(all)) && ctx.Err() == nil; i = next.Add(1) - 1 {
				all[i].look()
			}
		})
	}
	workers.Wait()
}

// Lost returns those of the recorded endpoints from which something is missing that
// only a DEL takes away, or what the runtime takes away after it: now, and a while
// later too, for a pod may just be started or deleted. again reads the records then.
func Lost(ctx context.Context, records []Record, later time.Duration, again func() ([]Record, error)) []Endpoint {
	lost := suspects(ctx, records)
	if len(lost) == 0 {
		return nil
	}
	select {
	case <-ctx.Done():
	case <-time.After(later):
	}
	now, err := again()
	if err != nil {
		return lost
	}
	was := make(map[bpffs.Attachment]uint16)
	for _, e := range lost {
		was[e.Attachment()] = e.ID
	}
	return suspects(ctx, slices.DeleteFunc(now, func(r Record) bool { return was[r.Attachment] != r.ID }))
}

// suspects returns those of the recorded endpoints from which something is missing.
func suspects(ctx context.Context, records []Record) []Endpoint {
	all := recorded(records)
	lookAll(ctx, all)
	return slices.DeleteFunc(all, func(e Endpoint) bool { return !e.isSuspect() })
}

// dropReleased removes endpoints that were released since they were recorded:
// that is why something of them is missing.
func dropReleased(ctx context.Context, all []Endpoint) ([]Endpoint, error) {
	var roots []string
	for i := range all {
		if all[i].isSuspect() && !slices.Contains(roots, all[i].Root) {
			roots = append(roots, all[i].Root)
		}
	}
	var errs []error
	for _, root := range roots {
		e, err := Open(ctx, root)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		all = slices.DeleteFunc(all, func(ep Endpoint) bool {
			return ep.Root == root && ep.isSuspect() && ep.isReleased(e)
		})
		errs = append(errs, e.Close())
	}
	return all, errors.Join(errs...)
}

// isSuspect reports whether something is missing that a DEL takes away, or what
// the runtime takes away after it.
func (e *Endpoint) isSuspect() bool {
	return e.Is(PinMissing) || e.Is(PinReplaced) || e.Is(VolumeMissing) || e.Is(NetNSGone)
}

// isReleased reports whether the open records have the endpoint no more. One that
// cannot be read is still there.
func (e *Endpoint) isReleased(records *bpffs.Endpoints) bool {
	owner, err := records.Owner(e.ID)
	return errors.Is(err, bpffs.ErrNoEndpoint) || err == nil && owner != e.Attachment()
}
