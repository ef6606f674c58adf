package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

// lockTimeout is how long a verb waits for other processes of this plugin. It is
// well below the two minutes after which kubelet gives up on a runtime, and the
// lock is held for less than a millisecond in an ADD.
const lockTimeout = 10 * time.Second

// plugin carries out the CNI verbs, which are its methods. The configuration
// comes from stdin, results and errors go to stdout, warnings to stderr.
type plugin struct {
	stdin          *os.File
	stdout, stderr io.Writer
}

func (p plugin) warn(format string, args ...any) {
	fmt.Fprintf(p.stderr, "bpffs: warning: "+format+"\n", args...)
}

// attachment returns the attachment that a verb is about.
func attachment(c *config, r request) bpffs.Attachment {
	return bpffs.Attachment{Network: c.network, ContainerID: r.containerID, IfName: r.ifName}
}

// eachRecords calls do with the records in every bpffs where this plugin may
// have left some, and with the map directory prefix there. It joins the errors.
// Where there are no records it does nothing.
func (p plugin) eachRecords(roots bpffs.Roots, prefix string, do func(bpffs.MapDir, *bpffs.Endpoints) error) error {
	ctx := newDeadline()
	var errs []error
	for _, root := range roots.All() {
		err := p.withRecords(ctx, root, prefix, do)
		if roots.Root != "" && root != roots.Root && (errors.Is(err, bpffs.ErrUnsafe) || errors.Is(err, bpffs.ErrLayout)) {
			p.warn("%v; what may be recorded there from before bpfRoot was configured stays", err)
			continue
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (p plugin) withRecords(ctx context.Context, root, prefix string, do func(bpffs.MapDir, *bpffs.Endpoints) error) error {
	path, err := filepath.EvalSymlinks(root) // ADD expresses all paths without symbolic links
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EIO) {
		return err
	}
	if err != nil {
		return nil // where no path leads, ADD left nothing
	}
	dir, err := bpffs.NewMapDir(path, prefix)
	if err != nil {
		return err
	}
	endpoints, err := bpffs.OpenEndpoints(ctx, dir)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, bpffs.ErrNotFound) {
		if _, err := bpffs.CheckMount(bpffs.Roots{Root: path}); errors.Is(err, bpffs.ErrStacked) {
			p.warn("%v; what is recorded in a hidden bpffs stays", err)
		}
		return nil
	}
	if errors.Is(err, bpffs.ErrNotOurs) {
		p.warn("%v; it can hold no record", err)
		return nil
	}
	if err != nil {
		return err
	}
	defer endpoints.Close()
	return do(dir, endpoints)
}

// usableRoots returns where records may be, for verbs that must not fail because
// the configuration has become wrong since ADD: a root that ADD would have
// refused holds none.
func (p plugin) usableRoots(c *config) bpffs.Roots {
	if err := c.parseRoots(); err != nil {
		p.warn("%v; looking in the default places only", err)
		return bpffs.Roots{}
	}
	return c.roots
}
