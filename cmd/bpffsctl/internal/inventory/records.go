package inventory

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/places"
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

// A Record is an endpoint as it is recorded, in the bpffs at Root. With Err it
// cannot be read, and of the endpoint only what could be read is set.
type Record struct {
	Root string
	bpffs.Endpoint
	Stamp bpffs.Stamp // which another one has after the next ADD
	Err   error
}

// Records returns what is recorded in each bpffs of the places. What cannot be seen is
// reported in the error, beside the records of the others.
func Records(ctx context.Context, where places.Where) ([]Record, error) {
	roots, err := Roots(where)
	return RecordsIn(ctx, roots, err)
}

// Roots returns the roots of the places to read records at, and why it is not known
// what is recorded at others.
func Roots(where places.Where) ([]string, error) {
	roots, err := places.Roots(places.Find(where))
	if len(roots) == 0 && err == nil && where.Root != "" {
		roots = []string{where.Root} // to hear why there are none
	}
	return roots, err
}

// RecordsIn is [Records] where the roots are known. seen is the error of the look for them.
func RecordsIn(ctx context.Context, roots []string, seen error) ([]Record, error) {
	var all []Record
	errs := []error{asRoot(seen)}
	for _, root := range roots {
		some, err := recordsAt(ctx, root)
		if !errors.Is(err, bpffs.ErrNoRecords) { // no plugin has used it yet
			errs = append(errs, err)
		}
		all = append(all, some...)
	}
	return all, errors.Join(errs...)
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

func recordsAt(ctx context.Context, root string) (all []Record, err error) {
	o := Opened{}
	defer o.Close()
	e, err := o.At(ctx, root)
	if err != nil {
		return nil, err
	}
	ids, err := e.IDs(ctx)
	if errors.Is(err, bpffs.ErrLocked) || ctx.Err() != nil {
		return nil, err
	}
	if err != nil {
		all = append(all, Record{Root: root, Err: err})
	}
	for _, id := range ids {
		if e, err = o.At(ctx, root); err != nil {
			return all, err
		}
		r := Record{Root: root}
		if r.Endpoint, r.Err = e.Endpoint(id); r.Err == nil {
			r.Stamp, r.Err = e.Stamp(id)
		}
		if errors.Is(r.Err, bpffs.ErrNoEndpoint) {
			continue // released since the IDs were read
		}
		all = append(all, r)
	}
	return all, nil
}

// Opened keeps the records of one bpffs open for whoever has much to do with them.
// Its zero value has none open.
type Opened struct {
	root    string
	records *bpffs.Endpoints
}

// At returns the open records in the bpffs at root, until the next call. It lets
// others have them once in a while, so that no ADD waits for all that the caller
// does: what was read before may be out of date.
func (o *Opened) At(ctx context.Context, root string) (*bpffs.Endpoints, error) {
	if o.records != nil && o.root == root {
		_, err := o.records.Yield(ctx)
		if err != nil {
			o.Close()
		}
		return o.records, err
	}
	o.Close()
	e, err := Open(ctx, root)
	if err == nil {
		o.root, o.records = root, e
	}
	return e, err
}

// Close closes what is open.
func (o *Opened) Close() {
	if o.records != nil {
		o.records.Close() //nolint:errcheck // it has done its work
		o.records = nil
	}
}
