package conflist

import (
	"encoding/json"
	"slices"
)

// vendorChain is the auxiliary chain of OpenShift's Multus, whose configuration is
// in another directory than the networks.
const vendorChain = "vendor-cni-chain"

// Chains returns the names of the auxiliary chains of Multus (auxiliaryCNIChainName,
// since 4.2): that of OpenShift, and those that a configuration of Multus among the
// files names. A chain has no list: Multus calls the drop-in files in the directory
// of that name for every pod, and does so also for DEL.
func Chains(files []File) []string {
	names := []string{vendorChain}
	for _, f := range files {
		for _, p := range f.List.Plugins {
			var multus struct {
				Chain string `json:"auxiliaryCNIChainName"`
			}
			if json.Unmarshal(p.Raw, &multus) == nil && multus.Chain != "" {
				names = append(names, multus.Chain)
			}
		}
	}
	for _, f := range files { // a network that is called so is no chain
		names = slices.DeleteFunc(names, func(name string) bool { return f.List.Name == name && !f.Single })
	}
	return names
}
