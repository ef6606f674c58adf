package install

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

// recordsTimeout is how long to wait for a plugin that has the records open.
const recordsTimeout = 10 * time.Second

// addRoots takes over what a configuration of the plugin says of its roots, unless
// that is known already.
func addRoots(roots *bpffs.Roots, plugin []byte) {
	var conf struct {
		Root     string `json:"bpfRoot"`
		Fallback string `json:"bpfFallback"`
	}
	if json.Unmarshal(plugin, &conf) != nil {
		return
	}
	if roots.Root == "" {
		roots.Root = conf.Root
	}
	if roots.Fallback == "" {
		roots.Fallback = conf.Fallback
	}
}

// countEndpoints returns how many endpoints are recorded in the roots, and whether
// a bpffs is at any of them.
func countEndpoints(ctx context.Context, roots bpffs.Roots) (count int, seen bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, recordsTimeout)
	defer cancel()
	for _, root := range roots.All() {
		n, ok, err := countIn(ctx, root)
		if err != nil {
			return count, seen, err
		}
		count, seen = count+n, seen || ok
	}
	return count, seen, nil
}

func countIn(ctx context.Context, root string) (count int, seen bool, err error) {
	path, err := filepath.EvalSymlinks(root)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	dir, err := bpffs.NewMapDir(path, "")
	if err != nil {
		return 0, false, err
	}
	endpoints, err := bpffs.OpenEndpoints(ctx, dir)
	switch {
	case errors.Is(err, bpffs.ErrNotFound):
		return 0, false, nil
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, bpffs.ErrNotOurs):
		return 0, true, nil // a bpffs without records of ours
	case err != nil:
		return 0, false, err
	}
	defer endpoints.Close()
	free, err := endpoints.Free()
	return bpffs.MaxEndpoints - free, true, err
}
