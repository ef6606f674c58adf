package doctor

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/moby/sys/mountinfo"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/inventory"
	"github.com/cni-bpffs/cni-bpffs/internal/mounts"
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

// A site is all that was seen at one place.
type site struct {
	place

	// The root: where it is or would be, and why it cannot be.
	path     string
	fellBack bool
	rootErr  error
	mounted  bool
	top      inode          // of the path
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
func lookAt(ctx context.Context, p place, patience time.Duration) site {
	s := site{place: p}
	m, err := bpffs.CheckMount(p.roots)
	s.path, s.fellBack = m.Path, m.Fallback
	if s.rootErr = notUnsafe(err); s.rootErr != nil {
		return s
	}
	s.mounted = !m.New
	s.top, _ = inodeOf(s.path) // there is none where nothing is mounted yet
	if s.mount, s.mountErr = holding(s.path); !s.mounted {
		s.locker = lastingHolder(s.path, patience)
	}
	dir, err := bpffs.NewMapDir(s.path, p.prefix)
	if s.seenErr = err; err != nil {
		return s
	}
	s.maps = dir.Path()
	s.unsafe, s.unsafeErr = bpffs.UnsafeDirs(p.asked(m), p.prefix)
	return s.inspect(ctx, patience)
}

// notUnsafe is err unless that is about who can change a directory, which another
// check tells.
func notUnsafe(err error) error {
	if errors.Is(err, bpffs.ErrUnsafe) {
		return nil
	}
	return err
}

// asked returns the root as the configuration has it, with the links that lead to it.
func (p place) asked(m bpffs.MountPoint) string {
	if m.Fallback {
		return cmp.Or(p.roots.Fallback, bpffs.DefaultFallback)
	}
	return cmp.Or(p.roots.Root, bpffs.DefaultRoot)
}

// holding returns the mount that holds the path, or what of it is there.
func holding(path string) (mountinfo.Info, error) {
	m, err := mounts.Holding(path)
	if errors.Is(err, fs.ErrNotExist) && path != "/" {
		return holding(filepath.Dir(path))
	}
	return m, err
}

// inspect adds what the records say. It looks at them without opening them as an
// ADD does, which would remove what a killed process left.
func (s site) inspect(ctx context.Context, patience time.Duration) site {
	read := func() (seen bpffs.Inspection, records []inventory.Record, err error) {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		seen, err = bpffs.Inspect(ctx, s.path, s.prefix)
		for _, e := range seen.Endpoints {
			records = append(records, inventory.Record{Root: s.path, Endpoint: e})
		}
		return seen, records, err
	}
	var records []inventory.Record
	if s.seen, records, s.seenErr = read(); errors.Is(s.seenErr, bpffs.ErrLocked) {
		s.holder = holderOf(s.seen.Records)
	}
	s.lost = inventory.Lost(ctx, records, patience, func() ([]inventory.Record, error) {
		_, now, err := read()
		return now, err
	})
	return s
}
