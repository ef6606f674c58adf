// Command skelparse is the least that a chained plugin built on skel does: it
// parses the previous result, as the plugins of containernetworking/plugins do,
// and prints it.
package main

import (
	"encoding/json"
	"fmt"

	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"
	types100 "github.com/containernetworking/cni/pkg/types/100"
	"github.com/containernetworking/cni/pkg/version"
)

func handOn(args *skel.CmdArgs) error {
	var conf types.PluginConf
	if err := json.Unmarshal(args.StdinData, &conf); err != nil {
		return fmt.Errorf("parsing the configuration: %w", err)
	}
	if err := version.ParsePrevResult(&conf); err != nil {
		return err
	}
	result, err := types100.NewResultFromResult(conf.PrevResult)
	if err != nil {
		return fmt.Errorf("converting the previous result: %w", err)
	}
	return types.PrintResult(result, conf.CNIVersion)
}

func main() {
	nothing := func(*skel.CmdArgs) error { return nil }
	skel.PluginMainFuncs(skel.CNIFuncs{
		Add: handOn, Check: handOn, Del: nothing, GC: nothing, Status: nothing,
	}, version.All, "CNI plugin skelparse")
}
