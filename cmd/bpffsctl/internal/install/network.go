package install

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/conflist"
)

// A network is what the configuration directory has of one network.
type network struct {
	name    string
	list    conflist.File   // its own list; without a path of an auxiliary chain of Multus, which has none
	dropIns []conflist.File // in the order of the calls, of every plugin
}

// findNetwork returns the network of that name, or the one that runtimes take.
func findNetwork(dir, name string, passesBroken bool) (n network, err error) {
	files, err := conflist.ReadDir(dir)
	if err != nil {
		return n, err
	}
	n.list, err = conflist.Choose(files, name, passesBroken)
	n.name = n.list.List.Name
	switch {
	case errors.Is(err, conflist.ErrNoMain) && slices.Contains(conflist.Chains(files), name):
		n = network{name: name}
	case errors.Is(err, conflist.ErrNoMain):
		return n, fmt.Errorf("%s: %w", dir, err)
	case err != nil:
		return n, err
	}
	n.dropIns, err = conflist.DropIns(dir, n.name)
	return n, err
}

// isChain reports whether it is an auxiliary chain of Multus.
func (n network) isChain() bool { return n.list.Path == "" }

// isInlined reports whether its list has the plugin.
func (n network) isInlined() bool {
	_, ours := n.list.List.Ours()
	return ours
}

// ours returns the drop-in files that are ours: those that configure the plugin, and
// one with our name that cannot be read.
func (n network) ours() (files []conflist.File) {
	for _, f := range n.dropIns {
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

// plugin returns the plugin's configuration that the network has, or the least.
func (n network) plugin() []byte {
	for _, f := range append([]conflist.File{n.list}, n.dropIns...) {
		if ours, ok := f.List.Ours(); ok {
			return ours.Raw
		}
	}
	return []byte(`{"type":"` + conflist.PluginType + `"}`)
}

// losing returns the types of the plugins that come after ours in the list, and
// would come before a drop-in file of ours.
func (n network) losing() (types []string) {
	if !n.isInlined() {
		return nil
	}
	at := slices.IndexFunc(n.list.List.Plugins, conflist.Plugin.Ours)
	after := n.list.List.Plugins[at:]
	for _, f := range n.dropIns {
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
