package install

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/containernetworking/cni/pkg/utils"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/conflist"
)

// A network is what the configuration directory has of one network.
type network struct{ conflist.Network }

// findNetwork returns the network of that name, or the one that runtimes take.
func findNetwork(dir, name string, passesBroken bool) (network, error) {
	all, err := conflist.Read(dir)
	if err != nil && len(all.Networks) == 0 {
		return network{}, err
	}
	n, err := all.Choose(name, passesBroken)
	if errors.Is(err, conflist.ErrNoMain) {
		return network{}, fmt.Errorf("%s: %w; install the main plugin, or see what is there: bpffsctl doctor", dir, err)
	}
	if errors.Is(err, conflist.ErrInvalid) {
		return network{}, fmt.Errorf("%w; to see what to do: bpffsctl doctor", err)
	}
	if err := errors.Join(err, n.DropInsErr); err != nil {
		return network{}, err
	}
	if err := utils.ValidateNetworkName(n.List.Name); err != nil {
		return network{}, fmt.Errorf("%s: no runtime accepts the network's name %q: %s", cmp.Or(n.Path, dir), n.List.Name, err.Msg)
	}
	return network{n}, nil
}

// isChain reports whether it is an auxiliary chain of Multus.
func (n network) isChain() bool { return n.Path == "" }

// isInlined reports whether its list has the plugin.
func (n network) isInlined() bool {
	_, ours := n.List.Ours()
	return ours
}

// ours returns the drop-in files that are ours: those that configure the plugin, and
// one with our name that cannot be read.
func (n network) ours() (files []conflist.File) {
	for _, f := range n.DropIns {
		if isOurs(f) {
			files = append(files, f)
		}
	}
	return files
}

func isOurs(f conflist.File) bool {
	_, ours := f.List.Ours()
	return ours || f.Err != nil && filepath.Base(f.Path) == dropInName
}

// plugin returns the plugin's configuration that the network has, or the least. Of
// several that differ it is not known which one is meant.
func (n network) plugin() (conf []byte, err error) {
	var from string
	for _, f := range append([]conflist.File{n.File}, n.DropIns...) {
		for _, p := range f.List.Plugins {
			switch {
			case !p.Ours():
			case conf == nil:
				conf, from = p.Raw, f.Path
			case !conflist.SameMeaning(conf, p.Raw):
				return nil, fmt.Errorf("bpffs has one configuration in %s and another one in %s; move one away, or give the right one with --plugin-conf", from, f.Path)
			}
		}
	}
	if conf == nil {
		conf = []byte(`{"type":"` + conflist.PluginType + `"}`)
	}
	return conf, nil
}

// losing returns the types of the plugins that come after ours in the list, and
// would come before a drop-in file of ours.
func (n network) losing() (types []string) {
	if !n.isInlined() {
		return nil
	}
	at := slices.IndexFunc(n.List.Plugins, conflist.Plugin.Ours)
	after := n.List.Plugins[at:]
	for _, f := range n.DropIns {
		if filepath.Base(f.Path) < dropInName {
			after = append(slices.Clone(after), f.List.Plugins...)
		}
	}
	for _, p := range after {
		if !p.Ours() {
			types = append(types, p.Type)
		}
	}
	return types
}
