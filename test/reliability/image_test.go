package reliability

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/test/internal/node"
)

// An image is all that is in a bpffs, by path, so that the same state can be had
// again and again.
type image map[string]saved

// saved is a pinned map or a symbolic link; a directory if it is neither.
type saved struct {
	pinned *ebpf.Map
	target string
}

// save returns an image of the bpffs at root, which is empty where there is none.
func save(t *testing.T, root string) image {
	t.Helper()
	all := readTree(t, root)
	im := make(image)
	for name, kind := range all {
		var s saved
		target, isLink := strings.CutPrefix(kind, node.LinkTo)
		switch {
		case isLink:
			s.target = target
		case kind[0] != 'd':
			m, err := ebpf.LoadPinnedMap(filepath.Join(root, name), nil)
			testns.Must(t, err)
			t.Cleanup(func() { testns.Must(t, m.Close()) })
			s.pinned = m
		}
		im[name] = s
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
		switch s := im[name]; {
		case s.pinned != nil:
			m, err := s.pinned.Clone() // which is not pinned yet
			testns.Must(t, err)
			testns.Must(t, m.Pin(path))
			testns.Must(t, m.Close())
		case s.target != "":
			testns.Must(t, os.Symlink(s.target, path))
		default:
			testns.Must(t, os.Mkdir(path, 0o700))
		}
	}
}
