package doctor

import (
	"errors"
	"slices"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/conflist"
)

// networks are the network configurations of a directory.
type networks struct {
	conflist.Dir

	dir string
	err error
}

func readNetworks(dir string) networks {
	all, err := conflist.Read(dir)
	for _, n := range all.All() {
		err = errors.Join(err, n.DropInsErr)
	}
	return networks{all, dir, err}
}

// calls returns where any network or chain calls our plugin.
func (n networks) calls() (all []conflist.Call) {
	for _, one := range slices.Concat(n.Networks, n.Chains) {
		all = append(all, one.Calls()...)
	}
	return all
}
