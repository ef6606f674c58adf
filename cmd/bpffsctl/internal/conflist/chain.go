package conflist

import (
	"encoding/json"
	"slices"
)

// VendorChain is the auxiliary chain of OpenShift's Multus, whose configuration is in
// another directory than the networks.
const VendorChain = "vendor-cni-chain"

// chains returns the names of the auxiliary chains of Multus (auxiliaryCNIChainName,
// since 4.2): that of OpenShift, and those that a configuration of Multus in the
// directory names. A chain has no list: Multus calls the drop-in files in the
// directory of that name for every pod, and does so also for DEL.
func (d Dir) chains() []string {
	names := []string{VendorChain}
	for _, n := range d.Networks {
		for _, p := range n.List.Plugins {
			var multus struct {
				Chain string `json:"auxiliaryCNIChainName"`
			}
			if json.Unmarshal(p.Raw, &multus) == nil && multus.Chain != "" {
				names = append(names, multus.Chain)
			}
		}
	}
	for _, n := range d.Networks { // a network that is called so is no chain
		names = slices.DeleteFunc(names, func(name string) bool { return n.List.Name == name && !n.Single })
	}
	return names
}

// chain returns the auxiliary chain of that name, which may have no directory yet.
func (d Dir) chain(name string) (n Network, known bool) {
	for _, c := range d.Chains {
		if c.List.Name == name {
			return c, true
		}
	}
	return Network{File: File{List: List{Name: name}}}, slices.Contains(d.chains(), name)
}
