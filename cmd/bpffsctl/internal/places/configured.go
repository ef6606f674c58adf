package places

import "github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/conflist"

// configured returns what the configurations in a directory say, also a drop-in file
// that no network has now. One that cannot be read says nothing, which is another's
// business: the mount table has what was mounted because of it.
func configured(dir string) (all []Place) {
	there, _ := conflist.Read(dir) // see above
	for _, n := range there.All() {
		for _, call := range n.Mentions() {
			conf := call.Config()
			p := Place{Known: conf.ParseAll() == nil, Roots: conf.Roots}
			if p.Known {
				p.Prefix, p.Names = conf.MapPrefix, conf.Names()
			}
			all = append(all, p)
		}
	}
	return all
}
