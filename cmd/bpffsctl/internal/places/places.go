// Package places finds where on a node the plugin keeps endpoints, kept some before
// its configuration was changed, or would keep them. All commands look there.
package places

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/cni-bpffs/cni-bpffs/internal/owned"
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

// Where says where to look. The zero value means where the plugin mounts a bpffs
// unless configured otherwise, and the mount table.
type Where struct {
	bpffs.Roots // with a Root only there

	ConfDir string // the networks in it may name other roots
}

// A Place is a root at which the plugin has endpoints, or may have some.
type Place struct {
	bpffs.MountPoint // what ADD finds there

	Roots  bpffs.Roots // as they are configured
	Prefix string      // of the map directory
	Names  []string    // the declared names of local maps
	Known  bool        // whether a configuration says the prefix and the names
	Other  bool        // no configuration names it, but it has records
	Err    error       // why an ADD could not use it, of [bpffs.CheckMount] or [ErrHidden]
}

// Find returns the places: those that the network configurations name, else the
// default, each as often as it is named with another map prefix; then every other
// bpffs with records. With a root it returns only that.
func Find(w Where) []Place {
	all := named(w)
	for i := range all {
		all[i].look()
	}
	if w.Root != "" {
		return all
	}
	o := others{like: all[0], seen: make(map[identity]bool), failed: make(map[string]bool)}
	for i := range all {
		o.see(&all[i])
	}
	for _, p := range all {
		for _, root := range p.Roots.All() {
			o.try(root)
		}
	}
	o.tryMounted()
	return append(all, o.found...)
}

// Named returns the root of each bpffs that the configurations in the directory name,
// or are the default or the fallback for, once: no other bpffs of the mount table. This
// process sees them below the directory node. The error says why it is not known what
// is recorded at others.
func Named(confDir, node string) ([]string, error) {
	var all []Place
	var errs []error
	for _, named := range named(Where{ConfDir: confDir}) {
		for _, root := range named.Roots.All() {
			p := Place{Roots: bpffs.Roots{Root: filepath.Join(node, root)}}
			p.look()
			all = append(all, p)
			if _, err := os.Lstat(p.Path); root == named.Roots.Root && node != "/" && errors.Is(err, fs.ErrNotExist) {
				errs = append(errs, fmt.Errorf("%s: there is no such directory: mount the node's %s there with mountPropagation HostToContainer", p.Path, root))
			}
		}
	}
	roots, err := Roots(all)
	return roots, errors.Join(append(errs, err)...)
}

// named returns the places that configurations name, or the default.
func named(w Where) (all []Place) {
	for _, p := range configured(w.ConfDir) {
		if w.Root != "" {
			p.Roots = w.Roots
		}
		all = add(all, p)
	}
	if len(all) == 0 || w.Fallback != "" {
		all = add(all, Place{Roots: w.Roots})
	}
	return all
}

// add adds p, or only its names if the place is known.
func add(all []Place, p Place) []Place {
	for i, known := range all {
		if known.Roots == p.Roots && known.Prefix == p.Prefix {
			all[i].Names = append(known.Names, p.Names...)
			return all
		}
	}
	return append(all, p)
}

// look takes the look that ADD takes.
func (p *Place) look() {
	p.MountPoint, p.Err = bpffs.CheckMount(p.Roots)
}

// Asked returns the root as the configuration has it, with the links that lead to it.
func (p *Place) Asked() string {
	if p.Fallback {
		return cmp.Or(p.Roots.Fallback, bpffs.DefaultFallback)
	}
	return cmp.Or(p.Roots.Root, bpffs.DefaultRoot)
}

// mounted reports whether there is a bpffs that can be looked into.
func (p *Place) mounted() bool {
	return !p.New && (p.Err == nil || errors.Is(p.Err, bpffs.ErrUnsafe)) && p.unseen() == nil
}

// unseen returns why it is not known what is recorded at the place: nil if that can
// be seen, or if there is no bpffs.
func (p *Place) unseen() error {
	err := p.Err
	if p.Fallback && err != nil { // which tells of the default, too
		_, err = bpffs.CheckMount(bpffs.Roots{Root: p.Path})
	}
	switch {
	case errors.Is(err, bpffs.ErrStacked):
		return err
	case p.New, errors.Is(err, bpffs.ErrOtherFileSystem), errors.Is(err, bpffs.ErrUnsafe), owned.IsAbsent(err):
		return nil
	}
	return err
}

// Roots returns the root of each bpffs among the places once, and why it is not
// known what is recorded at other places.
func Roots(all []Place) (roots []string, err error) {
	var errs []error
	seen := make(map[identity]bool)
	for i := range all {
		p := &all[i]
		errs = append(errs, p.unseen())
		if !p.mounted() {
			continue
		}
		id, err := identify(p.Path)
		errs = append(errs, err)
		if err == nil && !seen[id] {
			roots = append(roots, p.Path)
		}
		seen[id] = true
	}
	return roots, errors.Join(errs...)
}
