package doctor

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/moby/sys/mountinfo"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/inventory"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/places"
	"github.com/cni-bpffs/cni-bpffs/internal/mounts"
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

// A site is all that was seen at one place.
type site struct {
	places.Place

	socket   string // which was given for the runtime
	only     string // the root that was given
	rootErr  error  // why the root cannot be used
	mounted  bool
	mount    mountinfo.Info // the mount that holds the path
	mountErr error
	locker   holder // of the directory on which a bpffs is to be mounted

	maps      string // the map directory
	unsafe    []bpffs.UnsafeDir
	unsafeErr error

	seen    bpffs.Inspection
	seenErr error
	holder  holder // of the lock on the records, if that was not had
	lost    []inventory.Endpoint
}

// lookAt looks at one place.
func (n *node) lookAt(ctx context.Context, p places.Place) site {
	s := site{Place: p, socket: n.CRISocket, only: n.Root}
	if p.Err != nil && !errors.Is(p.Err, bpffs.ErrUnsafe) { // which another check tells
		s.rootErr = p.Err
		return s
	}
	s.mounted = !p.New
	if s.mount, s.mountErr = holding(s.Path); !s.mounted {
		s.locker = lastingHolder(s.Path, n.Patience)
	}
	dir, err := bpffs.NewMapDir(s.Path, p.Prefix)
	if s.seenErr = err; err != nil {
		return s
	}
	s.maps = dir.Path()
	s.unsafe, s.unsafeErr = bpffs.UnsafeDirs(s.Asked(), p.Prefix)
	return s.inspect(ctx, n.Patience)
}

// isEmpty reports whether nothing is left in a bpffs that no configuration names.
func (s site) isEmpty() bool {
	return s.Other && s.hindered() == "" && len(s.seen.Endpoints)+len(s.seen.Unreadable) == 0
}

// holding returns the mount that holds the path, or what of it is there.
func holding(path string) (mountinfo.Info, error) {
	m, err := mounts.Holding(path)
	if errors.Is(err, fs.ErrNotExist) && path != "/" {
		return holding(filepath.Dir(path))
	}
	return m, err
}

// inspect adds what the records say.
func (s site) inspect(ctx context.Context, patience time.Duration) site {
	if s.seen, s.seenErr = s.read(ctx, patience); errors.Is(s.seenErr, bpffs.ErrLocked) {
		s.holder = holderOf(s.seen.Records)
	}
	s.lost = inventory.Lost(ctx, s.records(s.seen), patience, func() ([]inventory.Record, error) { return s.again(ctx, patience) })
	return s
}

// again returns the records that can be read now.
func (s site) again(ctx context.Context, patience time.Duration) ([]inventory.Record, error) {
	seen, err := s.read(ctx, patience)
	return s.records(seen), err
}

// records returns those of all sites that can be read now.
func (n *node) records(ctx context.Context) (all []inventory.Record, err error) {
	for _, s := range n.sites() {
		some, serr := s.again(ctx, n.Patience)
		all, err = append(all, some...), errors.Join(err, serr)
	}
	return all, err
}

// read looks at the records without opening them as an ADD does, which would remove
// what a killed process left.
func (s site) read(ctx context.Context, patience time.Duration) (bpffs.Inspection, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return bpffs.Inspect(ctx, s.Path, s.Prefix)
}

func (s site) records(seen bpffs.Inspection) (all []inventory.Record) {
	for _, e := range seen.Endpoints {
		all = append(all, inventory.Record{Root: s.Path, Endpoint: e})
	}
	return all
}
