package cnidirs

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/conflist"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/cri"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/output"
)

// An UnreadError names a directory in which the runtime does not look, though a
// command was told so, or though it has the name that the runtime says.
type UnreadError struct {
	Dir    string
	From   Source // Given or Said
	Detail string // that it is so, and where the runtime looks
	Fix    string // what to type instead
}

// Error says everything in one line.
func (u UnreadError) Error() string { return u.Dir + ": " + u.Detail + ": " + u.Fix }

// Unread returns those of the directories in which the runtime does not look. What
// is not known is not among them: the runtime may say nothing of directories, or
// this process may not see those of the runtime.
func (d Dirs) Unread() []UnreadError { return append(d.unreadBin(), d.unreadConf()...) }

func (d Dirs) unreadBin() (all []UnreadError) {
	for _, dir := range d.Bin {
		all = append(all, d.unread(dir, d.BinFrom, d.Runtime.Status.Dirs.Bin, "--bin-dir")...)
	}
	return all
}

func (d Dirs) unreadConf() []UnreadError {
	if d.ConfFrom == Given && d.delegates() {
		return nil
	}
	return d.unread(d.Conf, d.ConfFrom, d.Runtime.Status.Dirs.Conf, "--conf-dir")
}

func (d Dirs) unread(dir string, from Source, said []string, flag string) []UnreadError {
	is, known := d.Runtime.isRuntimes(dir, said)
	switch {
	case is || !known:
		return nil
	case from == Given:
		return []UnreadError{{
			dir, from, fmt.Sprintf("the runtime does not look there: %v reads %s", d.Runtime, strings.Join(said, ", ")),
			"leave out " + flag + ", or type " + output.Command(flag, said[0]),
		}}
	}
	return []UnreadError{{
		dir, from, fmt.Sprintf("%v sees another directory at this path than this process does", d.Runtime),
		"run it where the runtime runs: " + output.Command("nsenter", "--target", strconv.Itoa(d.Runtime.PID), "--mount", "bpffsctl") +
			" …; or mount the runtime's directory here and give its path with " + flag,
	}}
}

// delegates reports whether a network of the runtime calls others, as those of
// Multus do, which reads directories of its own.
func (d Dirs) delegates() bool {
	if slices.ContainsFunc(d.Runtime.Status.Loaded, func(n cri.Network) bool { return slices.ContainsFunc(n.Plugins, conflist.IsMultus) }) {
		return true
	}
	for _, dir := range d.Runtime.Status.Dirs.Conf {
		there, _ := conflist.Read(dir) // what is wrong there is no answer to this
		for _, n := range there.Networks {
			if slices.ContainsFunc(n.List.Plugins, func(p conflist.Plugin) bool { return conflist.IsMultus(p.Type) }) {
				return true
			}
		}
	}
	return false
}
