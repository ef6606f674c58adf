package inventory

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

// lockTimeout is how long to wait for a plugin that has the records, which is as
// long as the plugin waits itself.
const lockTimeout = 10 * time.Second

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
	if root != "" {
		all, err := recordsAt(ctx, root)
		if errors.Is(err, fs.ErrNotExist) && isDir(root) {
			err = nil // a bpffs that no plugin has used yet
		}
		return all, err
	}
	var all []Record
	var errs []error
	for _, root := range distinct(bpffs.Roots{}.All()) {
		some, err := recordsAt(ctx, root)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, bpffs.ErrNotFound) {
			continue
		}
		all = append(all, some...)
		errs = append(errs, err)
	}
	return all, errors.Join(errs...)
}

func isDir(path string) bool {
	fi, err := os.Stat(path)
	return err == nil && fi.IsDir()
}

// distinct returns the roots without those that show the bpffs of an earlier one.
func distinct(roots []string) (some []string) {
	seen := make(map[uint64]bool)
	for _, root := range roots {
		var st syscall.Stat_t
		if err := syscall.Stat(root, &st); err != nil || !seen[uint64(st.Dev)] {
			some = append(some, root)
			seen[uint64(st.Dev)] = true
		}
	}
	return some
}

// Open opens the records in the bpffs at root, which every ADD and DEL then waits
// for: close them soon.
func Open(ctx context.Context, root string) (*bpffs.Endpoints, error) {
	dir, err := bpffs.NewMapDir(root, "")
	if err = errors.Join(err, ctx.Err()); err != nil { // a free lock is had without a look at ctx
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, lockTimeout)
	defer cancel()
	e, err := bpffs.OpenEndpoints(ctx, dir)
	if errors.Is(err, fs.ErrPermission) && os.Geteuid() != 0 {
		err = fmt.Errorf("%w: run it as root", err)
	}
	return e, err
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
