package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"
	"github.com/containernetworking/cni/pkg/utils"

	"github.com/cni-bpffs/cni-bpffs/internal/netconf"
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

// plugin carries out the CNI verbs, which are its methods. The result goes to
// stdout, warnings to stderr.
type plugin struct {
	stdout, stderr io.Writer
	netnsOverride  bool // the plugin's own network namespace is allowed, too
	called         bool // skel took the call
}

// A call is what a runtime asks for.
type call struct {
	*netconf.Config
	*skel.CmdArgs
}

// verb returns a command as skel wants it: with the configuration parsed, and with
// errors that have a code.
func (p *plugin) verb(command string, do func(call) error) func(*skel.CmdArgs) error {
	return func(args *skel.CmdArgs) error {
		p.called = true
		c, err := netconf.Parse(args.StdinData)
		if err == nil {
			err = do(call{c, args})
		}
		if err != nil {
			return p.coded(command, err)
		}
		return nil
	}
}

func (p *plugin) coded(command string, err error) *types.Error {
	return types.NewError(codeOf(err, command), err.Error(), "")
}

func (p *plugin) warn(format string, args ...any) {
	fmt.Fprintf(p.stderr, "bpffs: warning: "+format+"\n", args...)
}

// attachment returns the attachment that a verb is about.
func (c call) attachment() bpffs.Attachment {
	return bpffs.Attachment{Network: c.Name, ContainerID: c.ContainerID, IfName: c.IfName}
}

// details returns what the runtime says of the container.
func (c call) details() bpffs.Details {
	return bpffs.Details{Pod: podOf(c.Args), NetNS: c.Netns}
}

// mapDir returns where the maps are in the bpffs at root.
func (c call) mapDir(root string) bpffs.MapDir {
	d, _ := bpffs.NewMapDir(root, c.MapPrefix) // the prefix was checked
	return d
}

// paths returns the paths of the declared maps of the endpoint id.
func (c call) paths(root string, id uint16) []string {
	maps := c.mapDir(root)
	all := make([]string, len(c.Maps))
	for i, m := range c.Maps {
		all[i] = maps.LocalMapPath(m.Name, id)
	}
	return all
}

// podOf returns the pod that CNI_ARGS names as Kubernetes' runtimes and podman do,
// as "namespace/name". Whatever cannot be the name of a pod names none.
func podOf(args string) string {
	var namespace, name string
	for arg := range strings.SplitSeq(args, ";") {
		switch key, value, _ := strings.Cut(arg, "="); key {
		case "K8S_POD_NAMESPACE":
			namespace = value
		case "K8S_POD_NAME":
			name = value
		}
	}
	if utils.ValidateNetworkName(namespace) != nil || utils.ValidateNetworkName(name) != nil {
		return ""
	}
	return namespace + "/" + name
}

// eachRecords calls do with the records in every bpffs where this plugin may
// have left some. It joins the errors. Where there are no records it does nothing.
func (p *plugin) eachRecords(roots bpffs.Roots, do func(*bpffs.Endpoints) error) error {
	return roots.Walk(context.Background(), func(root string, e *bpffs.Endpoints, err error) error {
		unusable := errors.Is(err, bpffs.ErrUnsafe) || errors.Is(err, bpffs.ErrLayout)
		switch {
		case err == nil:
			return do(e)
		case errors.Is(err, bpffs.ErrNoRecords), errors.Is(err, bpffs.ErrNotMounted):
			return nil
		case errors.Is(err, bpffs.ErrStacked):
			p.warn("%v; what is recorded in a hidden bpffs stays", err)
		case errors.Is(err, bpffs.ErrNotOurs):
			p.warn("%v; it can hold no record", err)
		case unusable && roots.Root != "" && root != roots.Root:
			p.warn("%v; what may be recorded there from before bpfRoot was configured stays", err)
		default:
			return err
		}
		return nil
	})
}

// usableRoots returns where records may be, for verbs that must not fail because
// the configuration has become wrong since ADD: a root that ADD would have
// refused holds none.
func (p *plugin) usableRoots(c call) bpffs.Roots {
	if err := c.ParseRoots(); err != nil {
		p.warn("%v; looking in the default places only", err)
	}
	return c.Roots
}
