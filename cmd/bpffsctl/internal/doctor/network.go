package doctor

import (
	"errors"
	"io/fs"
	"os"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/conflist"
	"github.com/cni-bpffs/cni-bpffs/internal/netconf"
)

// networks are the network configurations of a directory.
type networks struct {
	dir     string
	err     error
	all     []network // in the order in which runtimes consider them
	strayed []string  // drop-in files of ours for networks that there are not
}

// A network is one file of the directory with its drop-in files.
type network struct {
	conflist.File
	dropIns []conflist.File
}

// A use is one place that calls our plugin.
type use struct {
	network, path string

	raw    []byte
	conf   *netconf.Config // of raw
	at     int             // in the chain, from 0 on
	dropIn bool
}

func readNetworks(dir string) networks {
	n := networks{dir: dir}
	files, err := conflist.ReadDir(dir)
	names := make(map[string]bool)
	errs := []error{err}
	for _, f := range files {
		one := network{File: f}
		if f.Err == nil && !f.Single {
			names[f.List.Name] = true
			one.dropIns, err = conflist.DropIns(dir, f.List.Name)
			errs = append(errs, err)
		}
		n.all = append(n.all, one)
	}
	strayed, err := findStrayed(dir, names)
	n.strayed, n.err = strayed, errors.Join(append(errs, err)...)
	return n
}

// findStrayed returns the drop-in files that name our plugin in directories
// called like no network.
func findStrayed(dir string, names map[string]bool) (strayed []string, err error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	for _, e := range entries {
		if !e.IsDir() || names[e.Name()] {
			continue
		}
		files, err := conflist.DropIns(dir, e.Name())
		if err != nil {
			continue // no network can have this name
		}
		for _, f := range files {
			if _, ours := f.List.Ours(); ours {
				strayed = append(strayed, f.Path)
			}
		}
	}
	return strayed, err
}

// uses returns where the network calls our plugin, in the order of the calls. Of
// a drop-in file that it forbids it says so in the second result.
func (n network) uses() (called, forbidden []use) {
	plugins := n.List.Plugins
	for i, p := range plugins {
		if p.Ours() {
			called = append(called, n.use(n.Path, p.Raw, i, false))
		}
	}
	for i, f := range n.dropIns {
		p, ours := f.List.Ours()
		if !ours {
			continue
		}
		u := n.use(f.Path, p.Raw, len(plugins)+i, true)
		if n.List.OnlyInlined {
			forbidden = append(forbidden, u)
			continue
		}
		called = append(called, u)
	}
	return called, forbidden
}

func (n network) use(path string, raw []byte, at int, dropIn bool) use {
	conf, _ := netconf.Parse(raw) // libcni has read it as an object already
	conf.Name = n.List.Name       // which libcni gives to the plugin, too
	return use{n.List.Name, path, raw, conf, at, dropIn}
}

// uses returns where any network calls our plugin.
func (n networks) uses() (all []use) {
	for _, one := range n.all {
		called, _ := one.uses()
		all = append(all, called...)
	}
	return all
}
