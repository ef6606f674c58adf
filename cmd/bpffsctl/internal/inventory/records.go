package inventory

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

// A Record is an endpoint as it is recorded, in the bpffs at Root. With Err it
// cannot be read, and of the endpoint only what could be read is set.
type Record struct {
	Root string
	bpffs.Endpoint
	Err error
}

// Records returns what is recorded in the bpffs at root, or with an empty root
// wherever the plugin mounts one unless configured otherwise. What cannot be
// opened is reported in the error, beside the records of the others.
func Records(ctx context.Context, root string) ([]Record, error) {
	roots, err := []string{root}, error(nil)
	if root == "" {
		roots, err = used(ctx)
	}
	var all []Record
	errs := []error{err}
	for _, root := range roots {
		some, err := recordsAt(ctx, root)
		if !errors.Is(err, bpffs.ErrNoRecords) { // no plugin has used it yet
			errs = append(errs, err)
		}
		all = append(all, some...)
	}
	return all, errors.Join(errs...)
}

// used returns the roots that have records.
func used(ctx context.Context) (roots []string, err error) {
	err = bpffs.Roots{}.Walk(ctx, func(root string, _ *bpffs.Endpoints, err error) error {
		switch {
		case errors.Is(err, bpffs.ErrNotMounted), errors.Is(err, bpffs.ErrNoRecords):
			return nil
		case err == nil:
			roots = append(roots, root)
		}
		return asRoot(err)
	})
	return roots, err
}

// Open opens the records in the bpffs at root, which every ADD and DEL then waits
// for: close them soon.
func Open(ctx context.Context, root string) (*bpffs.Endpoints, error) {
	if err := ctx.Err(); err != nil { // a free lock is had without a look at ctx
		return nil, err
	}
	e, err := bpffs.OpenEndpoints(ctx, root)
	return e, asRoot(err)
}

// asRoot says who can do what was not permitted.
func asRoot(err error) error {
	if errors.Is(err, fs.ErrPermission) && os.Geteuid() != 0 {
		return fmt.Errorf("%w: run it as root", err)
	}
	return err
}

// portion is how many records are read before others may have them.
const portion = 256

func recordsAt(ctx context.Context, root string) (all []Record, err error) {
	var ids []uint16
	var names error
	err = with(ctx, root, func(e *bpffs.Endpoints) { ids, names = e.IDs() })
	if err != nil {
		return nil, err
	}
	if names != nil {
		all = append(all, Record{Root: root, Err: names})
	}
	for some := range slices.Chunk(ids, portion) {
		err := with(ctx, root, func(e *bpffs.Endpoints) { all = appendRecords(all, e, root, some) })
		if err != nil {
			return all, err
		}
	}
	return all, nil
}

func appendRecords(all []Record, e *bpffs.Endpoints, root string, ids []uint16) []Record {
	for _, id := range ids {
		ep, err := e.Endpoint(id)
		if errors.Is(err, bpffs.ErrNoEndpoint) {
			continue // released since the IDs were read
		}
		all = append(all, Record{root, ep, err})
	}
	return all
}

// with opens the records for as long as do takes.
func with(ctx context.Context, root string, do func(*bpffs.Endpoints)) error {
	e, err := Open(ctx, root)
	if err != nil {
		return err
	}
	do(e)
	return e.Close()
}
