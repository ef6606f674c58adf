package gc

import (
	"context"
	"errors"
	"fmt"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/inventory"
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

// errOther says that a record may not be the one that was decided about.
var errOther = errors.New("the endpoint may be in use again")

// Do removes what was decided to be removed, and says in the decisions what came
// of it. It lets others have the records in between, so that no ADD waits for all
// removals. Right before each removal, while nobody else has the records, it sees
// whether the record is still the one that was decided about, and asks stays why the
// endpoint is to stay nevertheless.
func Do(ctx context.Context, all []Decision, stays func(inventory.Record) error) {
	var o inventory.Opened
	defer o.Close()
	locked := make(map[string]error) // at this root; one wait for the lock is enough
	for i := range all {
		d := &all[i]
		if d.Action != Remove {
			continue
		}
		err := locked[d.Root]
		if err == nil {
			err = d.remove(ctx, &o, stays)
		}
		if errors.Is(err, bpffs.ErrLocked) {
			locked[d.Root] = err
		}
		switch {
		case err == nil:
			d.Action = Removed
		case errors.Is(err, errOther), errors.Is(err, bpffs.ErrNoEndpoint):
			d.Action, d.Reason = Spare, err.Error()
		default:
			d.Action, d.Reason = Failed, err.Error()
		}
	}
}

// remove releases the endpoint if its record is still the one that was looked at.
func (d *Decision) remove(ctx context.Context, o *inventory.Opened, stays func(inventory.Record) error) error {
	e, err := o.At(ctx, d.Root)
	if err != nil {
		return err
	}
	owner, err := e.Owner(d.ID)
	if err != nil {
		return err
	}
	if stamp, err := e.Stamp(d.ID); err != nil {
		return err
	} else if stamp != d.Stamp {
		return fmt.Errorf("%w, by %v", errOther, owner)
	}
	if err := stays(d.Record); err != nil {
		return fmt.Errorf("%w: %w", errOther, err)
	}
	id, err := e.ID(d.Attachment)
	if errors.Is(err, bpffs.ErrNoEndpoint) || err == nil && id != d.ID {
		return fmt.Errorf("the index of the records lacks endpoint %d; see bpffsctl doctor", d.ID)
	}
	if err != nil {
		return err
	}
	return e.Release(d.Attachment)
}
