// Command pktcount is an example of a CNI plugin that comes after bpffs in a
// chain: it counts the packets and bytes of every container in that container's
// own map. "pktcount show" prints the counters of all containers on the node.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"
	types100 "github.com/containernetworking/cni/pkg/types/100"
	"github.com/containernetworking/cni/pkg/version"

	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == "show" {
		if err := show(os.Stdout); err != nil {
			fmt.Fprintf(os.Stderr, "pktcount: %v\n", err)
			os.Exit(1)
		}
		return
	}
	skel.PluginMainFuncs(skel.CNIFuncs{
		Add:    cmdAdd,
		Check:  cmdCheck,
		Del:    cmdDel,
		GC:     func(*skel.CmdArgs) error { return nil }, // bpffs removes the pins of the dead
		Status: cmdStatus,
	}, version.PluginSupports("0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"), "pktcount, chained after bpffs")
}

// cmdAdd starts to count. After an error nothing is undone here: a link that is
// not pinned ends with this process, and on the DEL that every failed ADD is
// followed by, bpffs removes those that are.
func cmdAdd(args *skel.CmdArgs) error {
	c, err := open(args)
	if err != nil {
		return err
	}
	if err := c.each(direction.start); err != nil {
		return err
	}
	return types.PrintResult(c.conf.PrevResult, c.conf.CNIVersion)
}

// cmdCheck reports the first difference between what cmdAdd did and what is there.
func cmdCheck(args *skel.CmdArgs) error {
	c, err := open(args)
	if err != nil {
		return err
	}
	return c.each(direction.check)
}

// cmdDel stops counting. Where it cannot, for the runtime has forgotten prevResult
// or the network namespace is gone, there is nothing to do: the pins are recorded
// as the container's, the DEL of bpffs comes next and removes them, and a link
// ends with its pin.
func cmdDel(args *skel.CmdArgs) error {
	if c, err := open(args); err == nil {
		return c.each(direction.stop)
	}
	return nil
}

// cmdStatus reports a kernel on which cmdAdd would fail.
func cmdStatus(*skel.CmdArgs) error {
	const pluginNotAvailable, loopback = 50, 1
	_, err := link.QueryPrograms(link.QueryOptions{Target: loopback, Attach: ebpf.AttachTCXIngress})
	if err != nil {
		return types.NewError(pluginNotAvailable, "pktcount needs TCX, which Linux has since 6.6", err.Error())
	}
	return nil
}

// A container is what the verbs work on.
type container struct {
	conf types.PluginConf  // with prevResult, which is handed on
	pins map[string]string // its paths in the bpffs by their declared names
	veth int               // the index of the host's end of its veth pair
}

func open(args *skel.CmdArgs) (*container, error) {
	var conf types.PluginConf
	if err := json.Unmarshal(args.StdinData, &conf); err != nil {
		return nil, err
	}
	if err := version.ParsePrevResult(&conf); err != nil {
		return nil, err
	}
	if conf.PrevResult == nil {
		return nil, types.NewError(types.ErrInvalidNetworkConfig, "pktcount is a chained plugin", "put it after bpffs")
	}
	prevResult, err := types100.GetResult(conf.PrevResult)
	if err != nil {
		return nil, err
	}
	pins := make(map[string]string)
	for _, m := range bpffs.LocalMaps(prevResult) {
		pins[m.Name] = m.Path
	}
	for _, name := range []string{statsName, rxName, txName} {
		if pins[name] == "" {
			return nil, types.NewError(types.ErrInvalidNetworkConfig,
				fmt.Sprintf("no path for %q in prevResult", name), `declare it in "maps" of bpffs, earlier in the chain`)
		}
	}
	veth, err := hostVeth(args.Netns, args.IfName)
	return &container{conf, pins, veth}, err
}

// each calls do for both directions until there is an error.
func (c *container) each(do func(direction, *container) error) error {
	for _, d := range directions() {
		if err := do(d, c); err != nil {
			return fmt.Errorf("%s: %w", c.pins[d.name], err)
		}
	}
	return nil
}
