package cnidirs

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/cri"
)

// Where runtimes look unless they are told otherwise.
const (
	DefaultBin  = "/opt/cni/bin"
	DefaultConf = "/etc/cni/net.d"
)

// A Source says how a directory is known.
type Source string

// The sources: an earlier one overrides a later one.
const (
	Given   Source = "as given"            // by a flag
	Said    Source = "as the runtime says" // over its socket
	Assumed Source = "as documented"       // the runtime does not say
)

// A Request is what a command was told; what is empty it was not.
type Request struct {
	BinDir    string // of plugins
	ConfDir   string // of networks
	CRISocket string // of the runtime
}

// A Runtime is what answered at the CRI socket.
type Runtime struct {
	cri.Runtime

	Status cri.Status
	Err    error // why it says nothing, or not all
}

// Ask asks the runtime at the socket, or with an empty one the first that answers
// at the usual places, and waits for each answer as long as the patience.
func Ask(ctx context.Context, socket string, patience time.Duration) (r Runtime) {
	if r.Runtime, r.Err = cri.Find(ctx, socket, patience); r.Err == nil {
		r.Status, r.Err = r.Runtime.Status(ctx, patience)
	}
	return r
}

// Dirs are the directories of a node.
type Dirs struct {
	Bin               []string // of plugins, in the order in which they are searched; never empty
	Conf              string   // of networks
	BinFrom, ConfFrom Source
	Runtime           Runtime

	request Request
}

// Of returns the directories for a request on a node with this runtime.
func Of(q Request, r Runtime) Dirs {
	d := Dirs{Runtime: r, request: q}
	switch {
	case q.BinDir != "":
		d.Bin, d.BinFrom = []string{q.BinDir}, Given
	case len(r.Status.Dirs.Bin) > 0:
		d.Bin, d.BinFrom = r.Status.Dirs.Bin, Said
	default:
		d.Bin, d.BinFrom = []string{DefaultBin}, Assumed
	}
	switch {
	case q.ConfDir != "":
		d.Conf, d.ConfFrom = q.ConfDir, Given
	case len(r.Status.Dirs.Conf) > 0:
		d.Conf, d.ConfFrom = r.Status.Dirs.Conf[0], Said
	default:
		d.Conf, d.ConfFrom = DefaultConf, Assumed
	}
	return d
}

// Having returns the directories of plugins that have this one; if none has it, the
// one to put it into.
func (d Dirs) Having(plugin string) (dirs []string) {
	for _, dir := range d.Bin {
		if _, err := os.Lstat(filepath.Join(dir, plugin)); err == nil {
			dirs = append(dirs, dir)
		}
	}
	if dirs == nil {
		dirs = []string{d.Target()}
	}
	return dirs
}

// NamedIn returns the directories of networks, beside Conf, that may name a plugin of
// the directory bin: those of the runtime, if it looks there for plugins.
func (d Dirs) NamedIn(bin string) (dirs []string) {
	runtimes := Of(Request{}, d.Runtime)
	if !slices.ContainsFunc(runtimes.Bin, func(path string) bool { return isSame(path, bin) }) {
		return nil
	}
	if !isSame(runtimes.Conf, d.Conf) {
		dirs = append(dirs, runtimes.Conf)
	}
	return dirs
}

// Target returns the directory of plugins to install into: the first that is there,
// else the first.
func (d Dirs) Target() string {
	for _, dir := range d.Bin {
		if !missing(dir) {
			return dir
		}
	}
	return d.Bin[0]
}

// Silent reports whether there is a runtime that does not answer, so that it may look
// for plugins elsewhere than assumed.
func (d Dirs) Silent() bool {
	return d.BinFrom == Assumed && d.Runtime.Socket != "" && d.Runtime.Err != nil
}

// Assumption says which directories are assumed, and why; empty if none is.
func (d Dirs) Assumption() string {
	var what []string
	if d.BinFrom == Assumed {
		what = append(what, d.Bin[0]+" for plugins")
	}
	if d.ConfFrom == Assumed {
		what = append(what, d.Conf+" for networks")
	}
	if what == nil {
		return ""
	}
	why := d.Runtime.String()
	switch {
	case d.Runtime.Version != (cri.Version{}):
		why += " does not say where it looks"
	case d.Runtime.Err != nil && d.request.CRISocket == "":
		why = d.Runtime.Err.Error()
	}
	return "assumed " + strings.Join(what, " and ") + ": " + why
}

// Flags returns the flags with which a command finds these directories again.
func (d Dirs) Flags() (flags []string) {
	if d.BinFrom == Given && d.unreadBin() == nil {
		flags = append(flags, "--bin-dir", d.Bin[0])
	}
	if d.ConfFrom == Given && d.unreadConf() == nil {
		flags = append(flags, "--conf-dir", d.Conf)
	}
	if d.request.CRISocket != "" && len(flags) < 4 { // the runtime is asked for the rest
		flags = append(flags, "--cri-socket", d.request.CRISocket)
	}
	return flags
}
