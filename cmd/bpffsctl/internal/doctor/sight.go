package doctor

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
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
	missing []missingPin
	gone    []bpffs.Endpoint
	holder  holder // of the lock on the records, if that was not had
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
	s.seen, s.seenErr = inspect(ctx, s.dir, patience)
	if errors.Is(s.seenErr, bpffs.ErrLocked) {
		s.holder = holderOf(s.seen.Records)
	}
	s.missing, s.gone = missingPins(s.seen.Endpoints), withoutNetNS(s.seen.Endpoints)
	if len(s.missing)+len(s.gone) > 0 {
		s = dropPassing(ctx, s, patience)
	}
	return s
}

// inspect waits for the lock on the records as long as the patience lasts.
func inspect(ctx context.Context, dir bpffs.MapDir, patience time.Duration) (bpffs.Inspection, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return bpffs.Inspect(ctx, dir)
}

// dropPassing forgets what is no longer missing or gone a little later: a pod was
// just being started, by plugins after ours too, or deleted.
func dropPassing(ctx context.Context, s sight, later time.Duration) sight {
	time.Sleep(later)
	now, err := inspect(ctx, s.dir, later)
	if err != nil {
		return s
	}
	still := make(map[uint16]bpffs.Attachment)
	for _, e := range now.Endpoints {
		still[e.ID] = e.Attachment
	}
	s.missing = slices.DeleteFunc(s.missing, func(m missingPin) bool {
		_, err := os.Lstat(m.path)
		return err == nil || still[m.endpoint.ID] != m.endpoint.Attachment
	})
	s.gone = slices.DeleteFunc(s.gone, func(e bpffs.Endpoint) bool { return still[e.ID] != e.Attachment })
	return s
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

// A missingPin is the path of a map that the plugin made, where nothing is now. A
// path that was only reserved is for another plugin, which uses it when it likes.
type missingPin struct {
	endpoint bpffs.Endpoint
	path     string
}

func missingPins(endpoints []bpffs.Endpoint) (missing []missingPin) {
	for _, e := range endpoints {
		for _, pin := range e.Maps {
			if _, err := os.Lstat(pin); errors.Is(err, fs.ErrNotExist) {
				missing = append(missing, missingPin{e, pin})
			}
		}
	}
	return missing
}

// withoutNetNS returns those whose network namespace was recorded and is gone.
func withoutNetNS(endpoints []bpffs.Endpoint) (gone []bpffs.Endpoint) {
	for _, e := range endpoints {
		if inventory.NetNSState(e.Details.NetNS) == inventory.NetNSIsGone {
			gone = append(gone, e)
		}
	}
	return gone
}
