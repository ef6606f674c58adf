package inventory

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
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
	if err != nil {
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

func recordsAt(ctx context.Context, root string) (all []Record, err error) {
	e, err := Open(ctx, root)
	if err != nil {
		return nil, err
	}
	defer e.Close()
	for ep, err := range e.All() {
		all = append(all, Record{root, ep, err})
	}
	return all, nil
}
