package conflist

import (
	"slices"

	"github.com/cni-bpffs/cni-bpffs/internal/netconf"
)

// A Call is one place where a network names the plugin bpffs.
type Call struct {
	Network string // its name
	Path    string // of the file
	Raw     []byte // the plugin's configuration as it stands in the file
	DropIn  bool   // the file is a drop-in file

	Forbidden bool // it is in a drop-in file, and the list says that none is read
}

// Config returns the plugin's configuration, of which nothing has been checked. It
// has the network's name, which libcni gives to the plugin, too.
func (c Call) Config() *netconf.Config {
	conf, _ := netconf.Parse(c.Raw) // libcni has read it as an object already
	conf.Name = c.Network
	return conf
}

// Mentions returns where the network names the plugin, in the order of the calls, also in
// drop-in files that its list forbids.
func (n Network) Mentions() (all []Call) {
	for i, f := range append([]File{n.File}, n.DropIns...) {
		for _, p := range f.List.Plugins {
			if p.Ours() {
				all = append(all, Call{n.List.Name, f.Path, p.Raw, i > 0, i > 0 && n.List.OnlyInlined})
			}
		}
	}
	return all
}

// Calls returns where a runtime that reads drop-in files calls the plugin.
func (n Network) Calls() []Call {
	return slices.DeleteFunc(n.Mentions(), func(c Call) bool { return c.Forbidden })
}

// First returns the network that a runtime uses for its pods, the first of the
// directory, and whether it can be used. A runtime that passes by what it cannot read
// takes the next. Where drop-in files are ignored a broken one breaks nothing.
func (d Dir) First(passesBroken, ignoresDropIns bool) (first Network, ok bool) {
	for i, n := range d.Networks {
		if i > 0 && !passesBroken {
			break
		}
		if n.Err == nil && (ignoresDropIns || len(n.Broken()) == 0) {
			return n, true
		}
	}
	return Network{}, false
}
