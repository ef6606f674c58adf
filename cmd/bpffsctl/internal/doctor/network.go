package doctor

import (
	"errors"
	"slices"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/conflist"
	"github.com/cni-bpffs/cni-bpffs/internal/netconf"
)

// networks are the network configurations of a directory.
type networks struct {
	conflist.Dir

	dir string
	err error
}

// A use is one place that calls our plugin.
type use struct {
	network, path string

	raw         []byte
	conf        *netconf.Config // of raw
	dropIn      bool
	onlyInlined bool // the network's list forbids drop-in files
}

func readNetworks(dir string) networks {
	all, err := conflist.Read(dir)
	for _, n := range all.All() {
		err = errors.Join(err, n.DropInsErr)
	}
	return networks{all, dir, err}
}

// usesOf returns where the network names our plugin, in the order of the calls. A list
// can forbid drop-in files: [use.forbidden].
func usesOf(n conflist.Network) (all []use) {
	for i, f := range append([]conflist.File{n.File}, n.DropIns...) {
		for _, p := range f.List.Plugins {
			if !p.Ours() {
				continue
			}
			conf, _ := netconf.Parse(p.Raw) // libcni has read it as an object already
			conf.Name = n.List.Name         // which libcni gives to the plugin, too
			all = append(all, use{n.List.Name, f.Path, p.Raw, conf, i > 0, n.List.OnlyInlined})
		}
	}
	return all
}

func (u use) forbidden() bool { return u.dropIn && u.onlyInlined }

// callsOf returns the uses that runtimes see.
func callsOf(n conflist.Network) []use { return slices.DeleteFunc(usesOf(n), use.forbidden) }

// uses returns where any network or chain calls our plugin.
func (n networks) uses() (all []use) {
	for _, one := range slices.Concat(n.Networks, n.Chains) {
		all = append(all, callsOf(one)...)
	}
	return all
}
