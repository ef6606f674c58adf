// Command bpffs is a chained CNI plugin that prepares the BPF file system for
// every container: it mounts bpffs on the node if it is missing, gives the
// container an endpoint ID, and hands the paths of the container's own maps to the
// plugins after it. Its configuration is described in docs/configuration.md.
package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"
	"github.com/containernetworking/cni/pkg/version"

	"github.com/cni-bpffs/cni-bpffs/internal/netconf"
)

// buildVersion is set by the linker; see the Makefile.
var buildVersion = "development"

func main() {
	// A reader that is gone is an error then, and not the end of the process before
	// it could undo or finish anything.
	signal.Ignore(syscall.SIGPIPE)
	p := &plugin{
		stdout: os.Stdout, stderr: os.Stderr, conf: &netconf.Config{},
		netnsOverride: override(os.Getenv("CNI_NETNS_OVERRIDE")),
	}
	err := p.run()
	if err == nil {
		return
	}
	if !p.called {
		err.Details = strings.TrimPrefix(err.Details+"; "+p.describeCall(err), "; ")
	}
	p.printError(err)
	os.Exit(1)
}

// run carries out the command that the environment names.
func (p *plugin) run() *types.Error {
	if command := os.Getenv("CNI_COMMAND"); command != "" && command != "VERSION" {
		if err := p.read(command); err != nil {
			return p.coded(command, err)
		}
	}
	// skel would compare the namespaces when the result is printed and the ID taken,
	// and fail a DEL that has done its work. Add does it before.
	if err := os.Setenv("CNI_NETNS_OVERRIDE", "true"); err != nil {
		return p.coded("", err)
	}
	return skel.PluginMainFuncsWithError(skel.CNIFuncs{
		Add: p.verb("ADD", p.Add), Del: p.verb("DEL", p.Del), Check: p.verb("CHECK", p.Check),
		GC: p.verb("GC", p.GC), Status: p.verb("STATUS", p.Status),
	}, supported(), "bpffs "+buildVersion+", a chained CNI plugin, called by container runtimes")
}

// read reads the configuration, and leaves to skel what skel looks at.
func (p *plugin) read(command string) error {
	stdin, err := readAll(os.Stdin)
	if err != nil {
		return err
	}
	p.conf, p.confErr = netconf.Parse(stdin)
	if !errors.Is(p.confErr, netconf.ErrDecoding) { // else skel says what is wrong
		if stdin, err = p.head(command); err != nil {
			return err
		}
	}
	os.Stdin, err = memoryFile(stdin) //nolint:reassign // from there skel reads
	return err
}

// head returns the part of the configuration that skel decodes, twice, however large
// the rest is. A DEL has a version that skel lets pass: it needs of the configuration
// what every version has, and where it fails the plugins before this one are never
// reached.
func (p *plugin) head(command string) ([]byte, error) {
	head := make(map[string]any)
	for _, key := range []string{"cniVersion", "name"} {
		if raw := p.conf.Raw(key); raw != nil {
			head[key] = raw
		}
	}
	if command == "DEL" {
		head["cniVersion"] = version.Current()
	}
	return json.Marshal(head)
}

// describeCall names what skel refuses without naming it.
func (p *plugin) describeCall(err *types.Error) string {
	var words []string
	for _, name := range []string{"CNI_COMMAND", "CNI_CONTAINERID", "CNI_IFNAME"} {
		words = append(words, fmt.Sprintf("%s=%.80q", name, os.Getenv(name)))
	}
	for _, key := range []string{"name", "cniVersion"} {
		words = append(words, fmt.Sprintf("%s: %.80s", key, cmp.Or(string(p.conf.Raw(key)), "missing")))
	}
	text := strings.Join(words, ", ")
	if err.Code == types.ErrIncompatibleCNIVersion && !slices.Contains(supported().SupportedVersions(), p.conf.CNIVersion) {
		text += `; write "cniVersion": "1.0.0" into the network configuration, or another version that bpffs supports and the runtime knows`
	}
	return text
}

// supported returns the versions of the CNI specification that are supported: all
// that have interfaces in their results.
func supported() version.PluginInfo {
	return version.PluginSupports("0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0")
}

// printError prints an error in the version of the configuration, or in the newest
// if that is not known or not supported (CNI specification 1.1.0, section 5,
// "Error").
func (p *plugin) printError(err *types.Error) {
	v := p.conf.CNIVersion
	if !slices.Contains(supported().SupportedVersions(), v) {
		v = version.Current()
	}
	err.Msg, err.Details = printable(err.Msg), printable(err.Details) // which skel may have written
	_ = json.NewEncoder(p.stdout).Encode(struct {
		CNIVersion string `json:"cniVersion"`
		*types.Error
	}{v, err}) // there is nobody else to tell
}
