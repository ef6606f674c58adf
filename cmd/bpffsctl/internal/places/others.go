package places

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/moby/sys/mountinfo"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/output"
	"github.com/cni-bpffs/cni-bpffs/internal/podfs"
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

// ErrHidden is the error of a place whose bpffs the mount table has, but which no path
// leads to.
var ErrHidden = errors.New("another mount hides the bpffs that is mounted there")

// others finds places that no configuration names.
type others struct {
	like   Place // one that is named, whose maps are looked for there, too
	seen   map[identity]bool
	failed map[string]bool // paths of places of which the error says all
	found  []Place
}

// see marks a place as known, and reports whether it was.
func (o *others) see(p *Place) (known bool) {
	if p.unseen() != nil {
		known, o.failed[p.Path] = o.failed[p.Path], true
		return known
	}
	id, err := identify(p.Path)
	if err == nil && p.mounted() {
		known, o.seen[id] = o.seen[id], true
	}
	return known
}

// try adds the place at the path if it has records, or if that is not known.
func (o *others) try(path string) {
	p := o.like
	p.Roots, p.Other = bpffs.Roots{Root: path}, true
	p.look()
	ours := p.unseen() != nil
	if o.see(&p) || !ours && !p.mounted() {
		return
	}
	if !ours {
		ours, p.Err = hasRecords(p.Path)
	}
	if ours {
		o.found = append(o.found, p)
	}
}

// hasRecords reports whether the plugin has made records in the directory. Others
// have directories of that name, too, or the bpffs of their pods on this node.
func hasRecords(root string) (bool, error) {
	records := filepath.Join(root, "cni")
	fi, err := os.Lstat(records)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return true, err
	}
	if st, ok := fi.Sys().(*syscall.Stat_t); !ok || !fi.IsDir() || st.Uid != 0 {
		return false, nil
	}
	entries, err := os.ReadDir(records)
	layout := func(e os.DirEntry) bool { return strings.HasPrefix(e.Name(), "layout-") } // also of a later version
	return err != nil || slices.ContainsFunc(entries, layout), err
}

// tryMounted does so with every bpffs of the mount table.
func (o *others) tryMounted() {
	table, err := mountinfo.GetMounts(mountinfo.FSTypeFilter("bpf"))
	if err != nil {
		o.found = append(o.found, Place{MountPoint: bpffs.MountPoint{Path: "/proc/self/mountinfo"}, Other: true, Err: noTable(err)})
		return
	}
	shown := make(map[string]bool) // parts of file systems
	hidden := make(map[string]string)
	for _, m := range table {
		if podfs.IsSource(m.Source) { // in the volume of a pod, which has no records
			continue
		}
		its := fmt.Sprint(m.Major, m.Minor, m.Root)
		if !isVisible(m) {
			hidden[its] = m.Mountpoint
			continue
		}
		shown[its] = true
		o.try(m.Mountpoint)
	}
	for its, path := range hidden {
		if !shown[its] && !o.failed[path] {
			o.found = append(o.found, Place{MountPoint: bpffs.MountPoint{Path: path}, Other: true, Err: errHidden(path)})
		}
	}
}

// noTable is err as one that does not say that something is absent.
func noTable(err error) error {
	return fmt.Errorf("looking for each bpffs in the mount table: %v: mount -t proc none /proc, or name one with --root", err) //nolint:errorlint // see above
}

func errHidden(path string) error {
	return fmt.Errorf("%s: %w, with the endpoints that it may have; see what is mounted over it (%s), and unmount that, or name another bpffs with --root",
		path, ErrHidden, output.Command("findmnt", "--all", "--output", "TARGET,FSTYPE"))
}
