// Package gc removes the endpoints of containers that are gone, where no DEL and
// no GC of the runtime did.
package gc

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/inventory"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/output"
)

// ErrNoLive is the error of [Decide] if no container at all is alive: more likely
// than that, the list is wrong.
var ErrNoLive = errors.New("the list of live containers is empty")

// Options say what may be removed.
type Options struct {
	Networks   []string      // empty: those that a live container is on
	OlderThan  time.Duration // younger endpoints are spared, for their containers may still be starting
	Force      bool          // also where the network namespace is still there, or not known
	AllowEmpty bool          // also without any live container
}

// An Action is what happens to an endpoint whose container is not alive.
type Action string

// The actions.
const (
	Remove  Action = "remove"
	Spare   Action = "spare"
	Removed Action = "removed"
	Failed  Action = "failed"
)

// A Decision is about one endpoint.
type Decision struct {
	inventory.Record
	Action Action
	Reason string
}

// Decide returns what is to be done about the endpoints whose containers are not
// alive; live ones are left out. The records must be older than the list of what
// is alive, or containers that started in between would look lost. netns says
// whether a network namespace is at a path, as [inventory.NetNSState].
func Decide(records []inventory.Record, live *Live, netns func(string) int, now time.Time, o Options) ([]Decision, error) {
	if live.Len() == 0 && len(records) > 0 && !o.AllowEmpty {
		return nil, fmt.Errorf("%w: if no container is alive, add --allow-empty and --network", ErrNoLive)
	}
	whyOther := "it is on another network than --network"
	if len(o.Networks) == 0 {
		o.Networks = networksOf(records, live)
		whyOther = "no live container is on its network, which may belong to another runtime; if not, name it with --network"
	}
	var all []Decision
	for _, r := range records {
		if r.Err == nil && live.Has(r.Attachment.ContainerID) {
			continue
		}
		why := o.spare(r, netns, now)
		if r.Err == nil && !slices.Contains(o.Networks, r.Attachment.Network) {
			why = whyOther
		}
		d := Decision{r, Spare, why}
		if why == "" {
			d.Action, d.Reason = Remove, "its container is gone"
		}
		all = append(all, d)
	}
	return all, nil
}

// networksOf returns the networks that a live container is on. Of the others the
// list says nothing: those of podman's containers are not the runtime's.
func networksOf(records []inventory.Record, live *Live) (networks []string) {
	for _, r := range records {
		if r.Err == nil && live.Has(r.Attachment.ContainerID) {
			networks = append(networks, r.Attachment.Network)
		}
	}
	slices.Sort(networks)
	return slices.Compact(networks)
}

// spare returns why the endpoint of a container that is not alive stays, empty if
// it does not.
func (o *Options) spare(r inventory.Record, netns func(string) int, now time.Time) string {
	age := now.Sub(r.Created)
	switch {
	case r.Err != nil:
		return "its record cannot be read; see bpffsctl doctor"
	case age < o.OlderThan:
		return fmt.Sprintf("it is %s old, and its container may still be starting; see --older-than", output.Age(age))
	case o.Force:
		return ""
	}
	if err := namespaceStays(netns(r.Details.NetNS)); err != nil {
		return err.Error() + "; --force"
	}
	return ""
}

// Stays returns why an endpoint stays whose container is not alive: its network
// namespace, which can have come again since the decision.
func (o *Options) Stays(r inventory.Record) error {
	if o.Force {
		return nil
	}
	return namespaceStays(inventory.NetNSState(r.Details.NetNS))
}

func namespaceStays(state int) error {
	switch state {
	case inventory.NetNSExists:
		return errors.New("its network namespace is still there")
	case inventory.NetNSUnknown:
		return errors.New("cannot tell whether its network namespace still exists")
	}
	return nil
}
