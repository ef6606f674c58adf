package inventory

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

// Gather returns the endpoints of [Records] with what the kernel says of them.
// The maps are read after the records were closed, so that no ADD waits for that.
func Gather(ctx context.Context, root string) ([]Endpoint, error) {
	records, err := Records(ctx, root)
	all := make([]Endpoint, len(records))
	for i, r := range records {
		all[i] = r.look()
	}
	all, rerr := dropReleased(ctx, all)
	return all, errors.Join(err, rerr)
}

// look returns the endpoint of the record with what is there of it now.
func (r *Record) look() Endpoint {
	namespace, pod, found := strings.Cut(r.Details.Pod, "/")
	if !found {
		namespace, pod = "", r.Details.Pod
	}
	e := Endpoint{
		ID: r.ID, Network: r.Attachment.Network, Container: r.Attachment.ContainerID, Interface: r.Attachment.IfName,
		PodNamespace: namespace, PodName: pod, NetNS: r.Details.NetNS, Created: r.Created.UTC().Truncate(time.Second), Root: r.Root,
	}
	if r.Err != nil {
		e.Error = r.Err.Error()
	}
	e.look(r.Pins)
	return e
}

// dropReleased removes endpoints that were released since they were recorded:
// that is why something of them is missing.
func dropReleased(ctx context.Context, all []Endpoint) ([]Endpoint, error) {
	suspects := make(map[string]bool)
	for i := range all {
		if slices.Contains(all[i].States, PinMissing) {
			suspects[all[i].Root] = true
		}
	}
	var errs []error
	for root := range suspects {
		e, err := Open(ctx, root)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		all = slices.DeleteFunc(all, func(ep Endpoint) bool {
			return ep.Root == root && slices.Contains(ep.States, PinMissing) && ep.isReleased(e)
		})
		errs = append(errs, e.Close())
	}
	return all, errors.Join(errs...)
}

// isReleased reports whether the open records have the endpoint no more. One that
// cannot be read is still there.
func (e *Endpoint) isReleased(records *bpffs.Endpoints) bool {
	owner, err := records.Owner(e.ID)
	return errors.Is(err, bpffs.ErrNoEndpoint) || err == nil && owner != e.Attachment()
}
