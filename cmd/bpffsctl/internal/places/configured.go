package places

import (
	"os"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/conflist"
	"github.com/cni-bpffs/cni-bpffs/internal/netconf"
)

// configured returns what the configurations in a directory say, also a drop-in file
// that no network has now. One that cannot be read says nothing, which is another's
// business: the mount table has what was mounted because of it.
func configured(dir string) (all []Place) {
	files, _ := conflist.ReadDir(dir) // see above
	for _, f := range files {
		all = append(all, inFile(f, f.List.Name)...)
	}
	entries, _ := os.ReadDir(dir) // see above
	for _, e := range entries {
		dropIns, _ := conflist.DropIns(dir, e.Name()) // no network can have this name
		for _, f := range dropIns {
			all = append(all, inFile(f, e.Name())...)
		}
	}
	return all
}

// inFile returns what each call of the plugin in a file of the network says.
func inFile(f conflist.File, network string) (all []Place) {
	for _, plugin := range f.List.Plugins {
		if !plugin.Ours() {
			continue
		}
		conf, _ := netconf.Parse(plugin.Raw) // libcni has read it as an object already
		conf.Name = network                  // which libcni gives to the plugin, too
		p := Place{Known: conf.ParseAll() == nil, Roots: conf.Roots}
		if p.Known {
			p.Prefix, p.Names = conf.MapPrefix, conf.Names()
		}
		all = append(all, p)
	}
	return all
}

// Used returns the network that runtimes use, the first of the directory, and whether
// it calls the plugin. That is not known of one that only calls other networks.
func Used(dir string) (network string, calls bool) {
	files, err := conflist.ReadDir(dir)
	if err != nil || len(files) == 0 || files[0].Err != nil {
		return "", false
	}
	first := files[0]
	called := inFile(first, first.List.Name)
	if !first.Single && !first.List.OnlyInlined {
		dropIns, _ := conflist.DropIns(dir, first.List.Name) // no network can have this name
		for _, f := range dropIns {
			called = append(called, inFile(f, first.List.Name)...)
		}
	}
	return first.List.Name, len(called) > 0
}
