package conflist

import (
	"errors"
	"fmt"
)

// ErrSingle says that the network is configured by a single plugin's file, to
// which no other plugin can be added.
var ErrSingle = errors.New("a single plugin's configuration, to which no plugin can be added")

// Choose returns the file, of those in a configuration directory, that configures
// the network. Without a name that is the network that runtimes take: the first
// file that has a plugin which makes an interface. A runtime may pass by a file
// that it cannot read, as CRI-O does; others use no network then.
//
// [ErrNoMain] if there is none yet. [ErrInvalid] if it may be one that cannot be
// read, unless the runtime passes it by. [ErrSingle] if it is a .conf or .json.
func Choose(files []File, network string, passesBroken bool) (File, error) {
	if network != "" {
		return named(files, network)
	}
	for _, f := range files {
		if f.Err != nil && !passesBroken {
			return File{}, f.Err
		}
		if _, ok := f.List.Main(); ok {
			return f, f.refuseSingle()
		}
	}
	return File{}, ErrNoMain
}

// named returns the network's file as libcni does: lists first, then single ones.
func named(files []File, network string) (File, error) {
	var broken error
	for _, single := range []bool{false, true} {
		for _, f := range files {
			_, ok := f.List.Main()
			switch {
			case f.Single != single:
			case f.Err != nil:
				broken = errors.Join(broken, f.Err)
			case ok && f.List.Name == network:
				return f, f.refuseSingle()
			}
		}
	}
	if broken != nil {
		return File{}, fmt.Errorf("looking for the network %s: %w", network, broken)
	}
	return File{}, fmt.Errorf("the network %s: %w", network, ErrNoMain)
}

func (f File) refuseSingle() error {
	if !f.Single {
		return nil
	}
	return fmt.Errorf("%s: %w; have the main plugin write a .conflist, or choose another network with --network", f.Path, ErrSingle)
}
