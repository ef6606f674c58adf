package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/conflist"
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
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
	network, version, path string

	raw    []byte
	at     int // in the chain, from 0 on
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
			called = append(called, use{n.List.Name, n.List.CNIVersion, n.Path, p.Raw, i, false})
		}
	}
	for i, f := range n.dropIns {
		p, ours := f.List.Ours()
		if !ours {
			continue
		}
		u := use{n.List.Name, n.List.CNIVersion, f.Path, p.Raw, len(plugins) + i, true}
		if n.List.OnlyInlined {
			forbidden = append(forbidden, u)
			continue
		}
		called = append(called, u)
	}
	return called, forbidden
}

// uses returns where any network calls our plugin.
func (n networks) uses() (all []use) {
	for _, one := range n.all {
		called, _ := one.uses()
		all = append(all, called...)
	}
	return all
}

// places returns what the configurations say of where the bpffs and the maps are.
// Whatever is wrong in them is another check's business.
func (n networks) places() (all []place) {
	for _, u := range n.uses() {
		var c struct {
			BPFRoot     string `json:"bpfRoot"`
			BPFFallback string `json:"bpfFallback"`
			MapPrefix   string `json:"mapPrefix"`
			Maps        []struct {
				Name, Type string
			} `json:"maps"`
		}
		if json.Unmarshal(u.raw, &c) != nil {
			continue
		}
		p := place{roots: bpffs.Roots{Root: c.BPFRoot, Fallback: c.BPFFallback}, prefix: c.MapPrefix}
		for _, m := range c.Maps {
			p.names = append(p.names, m.Name)
			if m.Type != "" {
				p.made = append(p.made, m.Name)
			}
		}
		all = append(all, p)
	}
	return all
}

func checkNetworks(_ context.Context, n *node) []Finding {
	return decideNetworks(n.networks(), n.reinstall())
}

// decideNetworks says which network the runtime uses, and whether it has our
// plugin.
func decideNetworks(n networks, reinstall string) []Finding {
	if n.err != nil {
		return fail(n.dir, n.err.Error(), command("ls", "-la", n.dir))
	}
	if len(n.all) == 0 {
		return fail(n.dir, "there is no network: the main plugin has not written one, and no pod can start",
			"install the main plugin, then: "+reinstall)
	}
	var found []Finding
	for i, one := range n.all {
		if one.Err != nil {
			say, what := warn, "it is not used"
			if i == 0 {
				say, what = fail, "runtimes take the first file of the directory, and cannot use this one"
			}
			found = append(found, say(one.Path, what+": "+one.Err.Error(), "mend it, or: "+command("mv", one.Path, one.Path+".bad"))...)
		}
	}
	if n.all[0].Err != nil {
		return found
	}
	return append(found, decideFirst(n, reinstall)...)
}

func decideFirst(n networks, reinstall string) []Finding {
	first, all := n.all[0], n.uses()
	called, _ := first.uses()
	switch {
	case len(called) > 0:
		return well(first.Path, "the runtime uses this network, "+first.List.Name+", and it has bpffs, in "+called[0].path)
	case len(all) > 0 && first.delegates():
		return well(all[0].path, "called by the runtime's network "+first.List.Name+", if that is told to; it has bpffs")
	case len(all) > 0:
		return fail(first.Path, "the runtime uses this network, "+first.List.Name+
			", because it is the first of the directory; bpffs is only in "+all[0].path, reinstall)
	}
	return fail(first.Path, "the runtime uses this network, "+first.List.Name+", and it does not have bpffs: pods run without", reinstall)
}

// delegates reports whether the network calls others, as that of Multus does.
func (n network) delegates() bool {
	main, ok := n.List.Main()
	return ok && strings.HasPrefix(main.Type, "multus")
}

func checkChain(_ context.Context, n *node) []Finding {
	return decideChain(n.networks(), n.reinstall())
}

// decideChain says whether the plugin is called once, and after the one that
// makes the interface.
func decideChain(n networks, reinstall string) []Finding {
	var found []Finding
	for _, one := range n.all {
		called, _ := one.uses()
		if len(called) > 0 && called[0].at == 0 {
			found = append(found, fail(called[0].path, "bpffs is the first plugin of the network "+one.List.Name+
				", and every ADD fails: it comes after the one that makes the interface",
				"put it behind that: ${EDITOR:-vi} "+quote(called[0].path))...)
		}
		if len(called) > 1 {
			found = append(found, warn(called[1].path, "bpffs is called a second time in the network "+one.List.Name+
				", after "+called[0].path+": the last one decides which maps a pod has", reinstall)...)
		}
	}
	if found != nil {
		return found
	}
	if len(n.uses()) == 0 {
		return well(n.dir, "no network has bpffs")
	}
	return well(n.dir, count(len(n.uses()), "call", "calls")+" of bpffs, after the plugin that makes the interface")
}

// reinstall is how to put the plugin where the runtime finds it.
func (n *node) reinstall() string {
	return command(n.install()...)
}

func (n *node) install() []string {
	words := []string{"bpffsctl", "install"}
	if n.BinDir != "/opt/cni/bin" {
		words = append(words, "--bin-dir", n.BinDir)
	}
	if n.ConfDir != "/etc/cni/net.d" {
		words = append(words, "--conf-dir", n.ConfDir)
	}
	return words
}

func checkDropIns(_ context.Context, n *node) []Finding {
	return decideDropIns(n.networks(), n.runtime().libcni(), command(append(n.install(), "--mode", "conflist")...))
}

// decideDropIns says whether the runtime reads the drop-in files.
func decideDropIns(n networks, r libcni, inline string) []Finding {
	var found []Finding
	for _, path := range n.strayed {
		found = append(found, fail(path, "there is no network "+filepath.Base(filepath.Dir(path))+", so that nobody reads this file",
			"move it into the directory that is called like the network, or: "+command("rm", path)+" && "+inline)...)
	}
	for _, one := range n.all {
		called, forbidden := one.uses()
		for _, u := range forbidden {
			found = append(found, fail(u.path, one.Path+" says loadOnlyInlinedPlugins, so that nobody reads this file", inline)...)
		}
		for _, u := range called {
			if u.dropIn {
				found = append(found, decideDropIn(u, r, inline)...)
			}
		}
	}
	if found == nil {
		found = well(n.dir, "no drop-in file of ours, which not every runtime would read")
	}
	return found
}

func decideDropIn(u use, r libcni, inline string) []Finding {
	switch {
	case !r.known:
		return warn(u.path, "it is not known whether the runtime reads drop-in files: "+r.String(),
			"if pods run without bpffs: "+inline)
	case !r.dropIns:
		return fail(u.path, r.String()+" ignores drop-in files: pods run without bpffs", inline)
	}
	return well(u.path, r.String()+" reads it")
}
