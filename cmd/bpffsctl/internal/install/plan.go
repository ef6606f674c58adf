package install

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/conflist"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/cri"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/output"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/plugin"
)

// A plan says what a network is to have.
type plan struct {
	network

	plugin []byte          // its configuration of the plugin
	dropIn bool            // as a drop-in file, else as an element of the list
	write  string          // the drop-in file to be written; empty: none
	remove []conflist.File // drop-in files
}

// plan looks at the network and decides what it is to have. It refuses what cannot
// work; what waiting can fix comes last.
func (in Installer) plan(ctx context.Context, d *dir) (plan, error) {
	if d == nil {
		return plan{}, fmt.Errorf("%w: there is no directory %s", conflist.ErrNoMain, in.ConfDir)
	}
	runtime := in.Runtime(ctx)
	n, err := findNetwork(d.path, in.Network, runtime.PassesBroken())
	if err != nil {
		return plan{}, err
	}
	if err := in.unserved(ctx, n, runtime); err != nil {
		return plan{}, err
	}
	p := plan{network: n, plugin: in.Plugin}
	if p.dropIn, err = in.way(n, runtime); err != nil {
		return plan{}, err
	}
	if p.plugin == nil {
		if p.plugin, err = n.plugin(); err != nil {
			return plan{}, err
		}
	}
	p = p.withDropIns(filepath.Join(d.path, n.List.Name, dropInName))
	if err := p.refused(); err != nil {
		return plan{}, err
	}
	return p, in.unreadable(n)
}

// withDropIns adds which drop-in files are written and removed. One of ours is enough,
// the first; without any it is the one with our name.
func (p plan) withDropIns(ourName string) plan {
	p.remove = p.ours()
	if !p.dropIn {
		return p
	}
	if len(p.remove) == 0 {
		p.write = ourName
		return p
	}
	if first := p.remove[0]; first.Err != nil || !conflist.SameMeaning(first.Data, p.plugin) {
		p.write = first.Path
	}
	p.remove = p.remove[1:]
	return p
}

// refused says why the drop-in files cannot be changed as planned.
func (p plan) refused() error {
	for _, f := range p.DropIns {
		if f.Path == p.write && f.Err == nil && !isOurs(f) {
			return fmt.Errorf("%s is another plugin's configuration; move it away", f.Path)
		}
	}
	paths := []string{p.write}
	for _, f := range p.remove {
		paths = append(paths, f.Path)
	}
	for _, path := range paths {
		if path == "" {
			continue
		}
		if err := changeable(path); err != nil {
			return err
		}
	}
	return nil
}

// changeable refuses a drop-in file in a directory that somebody else manages.
func changeable(path string) error {
	above := filepath.Dir(path)
	fi, err := os.Lstat(above)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case fi.Mode()&fs.ModeSymlink != 0:
		return fmt.Errorf("%s is a symbolic link, so something else manages its target; "+
			"replace the link by a directory, or use the network's own list: --mode conflist", above)
	case !fi.IsDir():
		return fmt.Errorf("%s is not a directory, so it cannot hold drop-in files; move it away", above)
	}
	if fi, err := os.Lstat(path); err == nil && fi.IsDir() {
		return fmt.Errorf("%s is a directory; move it away", path)
	}
	return nil
}

// unreadable names the drop-in files of which it is not known what they say. Ours is
// replaced only by a configuration that is given.
func (in Installer) unreadable(n network) error {
	var errs []error
	for _, f := range n.DropIns {
		if replaceable := in.Plugin != nil && isOurs(f); f.Err != nil && !replaceable {
			errs = append(errs, f.Err)
		}
	}
	if len(errs) == 0 {
		return nil
	}
	return fmt.Errorf("%w; fix the file or move it away; to replace %s use --plugin-conf", errors.Join(errs...), dropInName)
}

// unserved says why the plugin cannot serve the network: no ADD of a version that it
// does not support can work.
func (in Installer) unserved(ctx context.Context, n network, runtime cri.Version) error {
	if n.isChain() {
		return nil // it has the version of Multus
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	supports, err := plugin.Versions(ctx, in.From)
	if err != nil {
		return fmt.Errorf("asking the plugin which CNI versions it supports: %w; check that it can be executed: ls -l %s", err, output.Quote(in.From))
	}
	list := n.List
	if in.CNIVersion != "" {
		if !slices.Contains(supports, in.CNIVersion) {
			return fmt.Errorf("--cni-version %q: bpffs does not support it; it supports %s", in.CNIVersion, strings.Join(supports, ", "))
		}
		list.CNIVersion = in.CNIVersion
	}
	newest := runtime.Libcni().Newest
	its := list.Version(newest)
	if slices.Contains(supports, its) {
		return nil
	}
	says := fmt.Sprintf("the cniVersion %q, which bpffs does not support", its)
	if its == "" {
		says = "no cniVersion that the runtime knows"
	}
	fix := "give the network another one: --cni-version 1.0.0"
	if list.CNIVersion = "1.0.0"; list.Version(newest) == its {
		fix = "take " + its + " out of its cniVersions"
	}
	return fmt.Errorf("%s: the network says %s, and every pod would fail; bpffs supports %s; if the other plugins do, too, %s",
		n.Path, says, strings.Join(supports, ", "), fix)
}

// way decides whether the network gets a drop-in file. [Auto] decides only where the
// network does not have the plugin yet.
func (in Installer) way(n network, runtime cri.Version) (dropIn bool, err error) {
	reads, list := runtime.DropIns(), n.List
	auto := in.Mode == Auto
	switch {
	case n.isChain() && in.Mode == Conflist:
		return false, fmt.Errorf("%s is an auxiliary chain of Multus, which has no list; use --mode drop-in", n.List.Name)
	case n.isChain(): // Multus reads it, not the runtime
		return true, nil
	case in.Mode == Conflist, auto && (n.isInlined() || list.OnlyInlined), auto && len(n.ours()) == 0 && reads != cri.DropInsRead:
		return false, nil
	case list.OnlyInlined:
		return false, fmt.Errorf("%s says loadOnlyInlinedPlugins: no runtime reads drop-in files for it; use --mode conflist", n.Path)
	case reads == cri.DropInsIgnored:
		return false, fmt.Errorf("%v ignores drop-in files, and the network %s would run without bpffs; use --mode conflist", runtime, n.List.Name)
	case reads == cri.DropInsWithoutDEL:
		return false, fmt.Errorf("%v calls the plugin of a drop-in file for ADD but not for DEL, and the maps of deleted pods of the network %s would stay; use --mode conflist", runtime, n.List.Name)
	}
	if losing := n.losing(); len(losing) > 0 && !in.LosePaths {
		return false, fmt.Errorf("%s: %s would lose the paths of the maps, because drop-in files come after the list; keep them with --mode conflist, or if no plugin needs them, use --lose-paths",
			n.Path, strings.Join(losing, ", "))
	}
	return true, nil
}
