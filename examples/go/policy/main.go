// Command policy is a CNI plugin that comes after bpffs: it enters the pod's address
// into the pod's map policy_.
package main

import (
	"encoding/json"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"
	types100 "github.com/containernetworking/cni/pkg/types/100"
	"github.com/containernetworking/cni/pkg/version"

	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

func main() {
	nothing := func(*skel.CmdArgs) error { return nil } // bpffs checks the map and removes it
	skel.PluginMainFuncs(skel.CNIFuncs{Add: cmdAdd, Check: nothing, Del: nothing, GC: nothing, Status: nothing},
		version.PluginSupports("0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"), "policy, chained after bpffs")
}

func cmdAdd(args *skel.CmdArgs) error {
	var conf types.PluginConf
	if err := json.Unmarshal(args.StdinData, &conf); err != nil {
		return err
	}
	if err := version.ParsePrevResult(&conf); err != nil {
		return err
	}
	if conf.PrevResult == nil {
		return types.NewError(types.ErrInvalidNetworkConfig, "no prevResult", "put this plugin after bpffs")
	}
	prevResult, err := types100.GetResult(conf.PrevResult)
	if err != nil {
		return err
	}
	for _, m := range bpffs.LocalMaps(prevResult) {
		if m.Name == "policy_" {
			if err := enter(m.Path, prevResult.IPs); err != nil {
				return err
			}
			return types.PrintResult(conf.PrevResult, conf.CNIVersion) // as it came
		}
	}
	return types.NewError(types.ErrInvalidNetworkConfig, "no map policy_ in prevResult", "declare it in maps of bpffs")
}

// enter enters the first IPv4 address into the map that is pinned at path.
func enter(path string, addresses []*types100.IPConfig) error {
	i := slices.IndexFunc(addresses, func(a *types100.IPConfig) bool { return a.Address.IP.To4() != nil })
	if i < 0 {
		return types.NewError(types.ErrInvalidNetworkConfig, "no IPv4 address in prevResult", "the plugin before bpffs must set one")
	}
	policy, err := ebpf.LoadPinnedMap(path, nil)
	if err != nil {
		return err
	}
	defer policy.Close()
	return policy.Put([]byte(addresses[i].Address.IP.To4()), uint64(1))
}
