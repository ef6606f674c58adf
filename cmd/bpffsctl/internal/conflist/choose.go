package conflist

import (
	"errors"
	"fmt"
	"strings"
)

// ErrSingle says that the network is configured by a single plugin's file, to
// which no other plugin can be added.
var ErrSingle = errors.New("the configuration of a single plugin: no plugin can be added to it")

// Choose returns the network of that name, also an auxiliary chain of Multus. Without a
// name it is the first that has a plugin which makes an interface: what [Dir.First]
// returns, once the main plugin has written it. A runtime may pass by a file that it
// cannot read, as CRI-O does; others use no network then.
//
// [ErrNoMain] if there is none yet. [ErrInvalid] if it may be one that cannot be
// read, unless the runtime passes it by. [ErrSingle] if it is a .conf or .json.
func (d Dir) Choose(name string, passesBroken bool) (Network, error) {
	if name != "" {
		return d.named(name)
	}
	for _, n := range d.Networks {
		if n.Err != nil && !passesBroken {
			return Network{}, n.Err
		}
		if _, ok := n.List.Main(); ok {
			return n, n.refuseSingle()
		}
	}
	return Network{}, ErrNoMain
}

// named returns the network as libcni does: lists first, then single plugins.
func (d Dir) named(name string) (Network, error) {
	var broken error
	for _, single := range []bool{false, true} {
		for _, n := range d.Networks {
			_, ok := n.List.Main()
			switch {
			case n.Single != single:
			case n.Err != nil:
				broken = errors.Join(broken, n.Err)
			case ok && n.List.Name == name:
				return n, n.refuseSingle()
			}
		}
	}
	if chain, known := d.chain(name); known {
		return chain, nil
	}
	if broken != nil {
		return Network{}, fmt.Errorf("looking for the network %s: %w", name, broken)
	}
	return Network{}, fmt.Errorf("%w for the network %s; the networks are [%s]", ErrNoMain, name, strings.Join(d.names(), ", "))
}

// names returns the names of the networks that have a plugin which makes an interface.
func (d Dir) names() (names []string) {
	for _, n := range d.Networks {
		if _, ok := n.List.Main(); ok {
			names = append(names, n.List.Name)
		}
	}
	return names
}

func (f File) refuseSingle() error {
	if !f.Single {
		return nil
	}
	return fmt.Errorf("%s: %w; have the main plugin write a .conflist, choose another network with --network, "+
		"or on OpenShift the chain of Multus with --network %s --mode drop-in", f.Path, ErrSingle, VendorChain)
}
