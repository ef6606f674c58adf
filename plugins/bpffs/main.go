// Command bpffs is a chained CNI plugin that prepares the BPF file system for
// every container: it mounts bpffs on the node if it is missing, gives the
// container an endpoint ID, and hands the paths of the container's own maps to the
// plugins after it. Its configuration is described in docs/configuration.md.
package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"
	"github.com/containernetworking/cni/pkg/version"
)

// buildVersion is set by the linker; see the Makefile.
var buildVersion = "development"

func main() {
	// A reader that is gone is an error then, and not the end of the process before
	// it could undo or finish anything.
	signal.Ignore(syscall.SIGPIPE)
	p := &plugin{
		stdout: os.Stdout, stderr: os.Stderr,
		netnsOverride: override(os.Getenv("CNI_NETNS_OVERRIDE")),
	}
	stdin, err := p.run()
	if err == nil {
		return
	}
	if !p.called {
		err.Details = strings.TrimPrefix(err.Details+"; "+describeCall(stdin), "; ")
	}
	p.printError(stdin, err)
	os.Exit(1)
}

// run carries out the command that the environment names, and returns what was on
// standard input.
func (p *plugin) run() (stdin []byte, _ *types.Error) {
	if command := os.Getenv("CNI_COMMAND"); command != "" && command != "VERSION" {
		var err error
		if stdin, err = readAll(os.Stdin); err == nil {
			os.Stdin, err = memoryFile(stdin) //nolint:reassign // from there skel reads
		}
		if err != nil {
			return stdin, p.coded(command, err)
		}
	}
	// skel would compare the namespaces when the result is printed and the ID taken,
	// and fail a DEL that has done its work. Add does it before.
	if err := os.Setenv("CNI_NETNS_OVERRIDE", "true"); err != nil {
		return stdin, p.coded("", err)
	}
	return stdin, skel.PluginMainFuncsWithError(skel.CNIFuncs{
		Add: p.verb("ADD", p.Add), Del: p.verb("DEL", p.Del), Check: p.verb("CHECK", p.Check),
		GC: p.verb("GC", p.GC), Status: p.verb("STATUS", p.Status),
	}, p.versions(stdin), "bpffs "+buildVersion+", a chained CNI plugin, called by container runtimes")
}

// describeCall names what skel refuses without naming it.
func describeCall(stdin []byte) string {
	var words []string
	for _, name := range []string{"CNI_COMMAND", "CNI_CONTAINERID", "CNI_IFNAME"} {
		words = append(words, fmt.Sprintf("%s=%.80q", name, os.Getenv(name)))
	}
	var conf map[string]json.RawMessage
	_ = json.Unmarshal(stdin, &conf) // what cannot be read has no keys
	for _, key := range []string{"name", "cniVersion"} {
		words = append(words, fmt.Sprintf("%s: %.80s", key, cmp.Or(string(conf[key]), "missing")))
	}
	return strings.Join(words, ", ")
}

// versions returns those that skel lets pass. A DEL passes in any: of the
// configuration it needs what every version has, and where it fails the plugins
// before this one are never reached.
func (p *plugin) versions(stdin []byte) version.PluginInfo {
	if os.Getenv("CNI_COMMAND") != "DEL" {
		return supported()
	}
	if v, err := (&version.ConfigDecoder{}).Decode(stdin); err == nil {
		return version.PluginSupports(v)
	}
	return supported()
}

// supported returns the versions of the CNI specification that are supported: all
// that have interfaces in their results.
func supported() version.PluginInfo {
	return version.PluginSupports("0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0")
}

// printError prints an error in the version of the configuration, or in the newest
// if that is not known or not supported (CNI specification 1.1.0, section 5,
// "Error").
func (p *plugin) printError(stdin []byte, err *types.Error) {
	v, decodeErr := (&version.ConfigDecoder{}).Decode(stdin)
	if decodeErr != nil || !slices.Contains(supported().SupportedVersions(), v) {
		v = version.Current()
	}
	err.Msg, err.Details = printable(err.Msg), printable(err.Details) // which skel may have written
	_ = json.NewEncoder(p.stdout).Encode(struct {
		CNIVersion string `json:"cniVersion"`
		*types.Error
	}{v, err}) // there is nobody else to tell
}
