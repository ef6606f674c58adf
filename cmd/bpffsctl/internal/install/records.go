package install

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

// recordsTimeout is how long to wait for a plugin that has the records open.
const recordsTimeout = 10 * time.Second

// addRoots adds where the plugin with this configuration may have left records.
func addRoots(roots *[]string, plugin []byte) {
	var conf struct {
		Root     string `json:"bpfRoot"`
		Fallback string `json:"bpfFallback"`
	}
	if json.Unmarshal(plugin, &conf) != nil {
		return
	}
	for _, root := range (bpffs.Roots{Root: conf.Root, Fallback: conf.Fallback}).All() {
		if !slices.Contains(*roots, root) {
			*roots = append(*roots, root)
		}
	}
}

// findEndpoints returns the first of the roots in which endpoints are recorded, and
// how many there are; and whether a bpffs is at any of the roots.
func findEndpoints(ctx context.Context, roots []string) (root string, count int, seen bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, recordsTimeout)
	defer cancel()
	for _, root := range roots {
		n, ok, err := countIn(ctx, root)
		if n > 0 || err != nil {
			return root, n, true, err
		}
		seen = seen || ok
	}
	return "", 0, seen, nil
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
