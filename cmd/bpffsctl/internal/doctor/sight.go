package doctor

import (
	"context"
	"errors"
	"time"

	"github.com/moby/sys/mountinfo"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/inventory"
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

// A sight is all that was seen at one place.
type sight struct {
	place
	dir bpffs.MapDir

	// The root: where it is or would be, and why it cannot be.
	path     string
	fellBack bool
	rootErr  error
	mounted  bool
	mount    mountinfo.Info // the mount that holds the path
	mountErr error
	locker   holder // of the directory on which a bpffs is to be mounted

	unsafe    []bpffs.UnsafeDir
	unsafeErr error

	seen    bpffs.Inspection
	seenErr error
	holder  holder // of the lock on the records, if that was not had
	lost    []inventory.Endpoint
}

// lookAt looks at one place.
func lookAt(ctx context.Context, p place, patience time.Duration) sight {
	s := sight{place: p}
	s.path, s.fellBack, s.rootErr = findRoot(p.roots)
	if s.dir, s.seenErr = bpffs.NewMapDir(s.path, p.prefix); s.seenErr != nil || s.rootErr != nil {
		return s
	}
	s.mount, s.mountErr = mountOf(s.path)
	s.mounted = s.mountErr == nil && s.mount.FSType == "bpf" && s.mount.Mountpoint == s.path
	if !s.mounted {
		s.locker = lastingHolder(s.path, patience)
	}
	s.unsafe, s.unsafeErr = bpffs.UnsafeDirs(s.dir)
	s.inspect(ctx, patience)
	return s
}

// inspect looks at the records, and waits for their lock as long as the patience
// lasts.
func (s *sight) inspect(ctx context.Context, patience time.Duration) {
	waiting, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	s.seen, s.seenErr = bpffs.Inspect(waiting, s.dir)
	if errors.Is(s.seenErr, bpffs.ErrLocked) {
		s.holder = holderOf(s.seen.Records)
	}
	records := make([]inventory.Record, len(s.seen.Endpoints))
	for i, e := range s.seen.Endpoints {
		records[i] = inventory.Record{Root: s.path, Endpoint: e}
	}
	s.lost = inventory.Lost(ctx, records, patience)
}

// findRoot is [bpffs.CheckMount], but also names the place that cannot be used.
func findRoot(r bpffs.Roots) (path string, fellBack bool, err error) {
	root := r.Root
	if root == "" {
		root = bpffs.DefaultRoot
	}
	path, err = bpffs.CheckMount(bpffs.Roots{Root: root})
	if errors.Is(err, bpffs.ErrOtherFileSystem) && r.Root == "" {
		all := r.All()
		root = all[len(all)-1]
		fellBack = true
		path, err = bpffs.CheckMount(bpffs.Roots{Root: root})
	}
	if err != nil {
		path = root
	}
	return path, fellBack, err
}
