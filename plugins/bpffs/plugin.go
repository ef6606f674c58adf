package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"

	"github.com/cni-bpffs/cni-bpffs/internal/errlist"
	"github.com/cni-bpffs/cni-bpffs/internal/netconf"
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

// plugin carries out the CNI verbs, which are its methods. The result goes to
// stdout, warnings to stderr.
type plugin struct {
	stdout, stderr io.Writer
	netnsOverride  bool // the plugin's own network namespace is allowed, too
	called         bool // skel took the call

	conf    *netconf.Config // what was on standard input
	confErr error           // what is wrong with it
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
		err := p.confErr
		if err == nil {
			err = do(call{p.conf, args})
		}
		if err != nil {
			return p.coded(command, err)
		}
		return nil
	}
}

func (p *plugin) coded(command string, err error) *types.Error {
	return types.NewError(codeOf(err, command), printable(err.Error()), "")
}

// maxMessage is how long a message can be, in bytes.
const maxMessage = 4096

// warn writes one line to standard error, which runtimes write to their log.
func (p *plugin) warn(format string, args ...any) {
	fmt.Fprintf(p.stderr, "bpffs: warning: %s\n", printable(fmt.Sprintf(format, args...)))
}

// warnOfUnknown warns of keys of the configuration that do nothing: of each, if they
// are few.
func (p *plugin) warnOfUnknown(keys []string) {
	const few = 3
	for _, key := range keys[:min(len(keys), few)] {
		p.warn("the network configuration has the unknown key %.300q, which has no effect", key)
	}
	if more := len(keys) - few; more > 0 {
		p.warn("the network configuration has %d more unknown keys, which have no effect", more)
	}
}

// printable returns the text without what a terminal or a log would obey, and not
// longer than anybody reads.
func printable(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '\uFFFD'
	}, text)
	if len(text) > maxMessage {
		return strings.ToValidUTF8(text[:maxMessage-len("…")], "") + "…"
	}
	return text
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

// eachRecords calls do with the records in every bpffs where this plugin may have
// left some of the attachment; do reports whether they have it. It joins the errors,
// also those of places that are unseen from the start. Once the attachment was found,
// no other place can fail the call.
func (p *plugin) eachRecords(
	c call, roots []string, unseen []error, do func(*bpffs.Endpoints) (found bool, err error),
) (found bool, err error) {
	var errs []error
	err = bpffs.WalkTo(context.Background(), roots, c.attachment(), func(root string, e *bpffs.Endpoints, err error) error {
		if err != nil {
			unseen = append(unseen, p.tolerate(c, root, err))
			return nil
		}
		has, err := do(e)
		found = found || has
		errs = append(errs, err)
		return nil
	})
	if !found {
		return false, errlist.Join(append(append(errs, unseen...), err)...)
	}
	for _, err := range unseen {
		if err != nil {
			p.warn("%v; the pod's endpoint is elsewhere", err)
		}
	}
	return true, errlist.Join(append(errs, err)...)
}

// tolerate returns the error of a place whose records cannot be opened, nil where
// that is no fault of this call. What may be there nevertheless is a warning.
func (p *plugin) tolerate(c call, root string, err error) error {
	elsewhere := !c.isConfigured(root) && (errors.Is(err, bpffs.ErrNotOurs) || errors.Is(err, bpffs.ErrLayout))
	switch {
	case errors.Is(err, bpffs.ErrNoRecords), errors.Is(err, bpffs.ErrNotMounted), errors.Is(err, bpffs.ErrNoEndpoint):
	case errors.Is(err, bpffs.ErrStacked):
		p.warn("%v; what is recorded in a hidden bpffs stays", err)
	case errors.Is(err, bpffs.ErrBadRoot):
		p.warn("%v; looking in the other places only", err)
	case elsewhere:
		p.warn("%v; it is left alone, for bpfRoot names another place", err)
	default:
		return err
	}
	return nil
}

// isConfigured reports whether an ADD would use the root: bpfRoot, or without that
// the default or the fallback.
func (c call) isConfigured(root string) bool {
	if c.Roots.Root != "" {
		return root == c.Roots.Root
	}
	return slices.Contains(c.Roots.All(), root)
}

// usableRoots returns where records may be, for verbs that must not fail because
// the configuration has become wrong since ADD: a root that ADD would have refused
// holds none. Some callers keep the plugin's own keys from it; then the paths in
// prevResult tell where the maps were. unseen says which of these could not be
// looked at.
func (p *plugin) usableRoots(c call) (roots []string, unseen []error) {
	if err := c.ParseRoots(); err != nil {
		p.warn("%v; looking in the default places only", err)
	}
	roots = c.Roots.All()
	eachLocalMapDir(c.RawPrevResult, func(dir string) {
		root, err := bpffs.RootOf(dir)
		if err == nil && !slices.Contains(roots, root) {
			roots = append(roots, root)
		}
		if err != nil && !errors.Is(err, bpffs.ErrNotMounted) {
			unseen = append(unseen, fmt.Errorf("looking for the bpffs of a path in prevResult: %w", err))
		}
	})
	return roots, unseen
}
