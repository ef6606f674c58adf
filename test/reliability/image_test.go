package reliability

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/cilium/ebpf"
)

// An image is all that is in a bpffs, so that the same state can be had again
// and again: the paths and the maps pinned at them, nil for a directory.
type image map[string]*ebpf.Map

// save returns an image of the bpffs at root, which is empty where there is none.
func save(t *testing.T, root string) image {
	t.Helper()
	all, err := readTree(root)
	must(t, err)
	im := make(image)
	for name, kind := range all {
		im[name] = nil
		if kind[0] == 'd' {
			continue
		}
		m, err := ebpf.LoadPinnedMap(filepath.Join(root, name), nil)
		must(t, err)
		t.Cleanup(func() { must(t, m.Close()) })
		im[name] = m
	}
	return im
}

// restore makes a new bpffs at root with what is in the image.
func (im image) restore(t *testing.T, root string) {
	t.Helper()
	if len(im) == 0 {
		return
	}
	mountBPF(t, root, "mode=0700")
	for _, name := range slices.Sorted(maps.Keys(im)) {
		path := filepath.Join(root, name)
		if im[name] == nil {
			must(t, os.Mkdir(path, 0o700))
			continue
		}
		m, err := im[name].Clone() // which is pinned nowhere yet
		must(t, err)
		must(t, m.Pin(path))
		must(t, m.Close())
	}
}
