package install

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/conflist"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/cri"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/plugin"
)

// A Mode is the way in which a network gets the plugin.
type Mode string

// The modes.
const (
	Auto     Mode = "auto"     // the way that the network has; at first DropIn where the runtime reads such files, else Conflist
	DropIn   Mode = "drop-in"  // a file in the directory of the network
	Conflist Mode = "conflist" // an element of the network's own list
)

// checkTimeout is how long the plugin may take to say what it has against its
// configuration.
const checkTimeout = 5 * time.Second

// An Installer is a node and what it is to have.
type Installer struct {
	BinDir, ConfDir string
	Assumed         bool   // nobody said that the runtime looks in BinDir
	Network         string // empty: the one that runtimes take
	Mode            Mode
	From            string // the plugin's binary
	Plugin          []byte // the plugin's configuration, a JSON object; nil: what the network has, else the least
	CNIVersion      string // what the network's list is to say; empty: what it says
	LosePaths       bool   // change to [DropIn] though plugins that get the maps' paths lose them

	// Runtime returns what is known of the container runtime; zero if nothing is.
	Runtime func(context.Context) cri.Version
	// Log is told of every change.
	Log func(format string, args ...any)
	// Report is told by [Installer.Watch] how the node is; nil: nobody wants to know.
	Report func(Status)
}

// Install makes the node have the plugin: first the binary, then what names it.
// Where everything is in place it changes nothing. Before it changes anything it
// refuses what cannot work. While there is no main plugin's configuration the error
// is [conflist.ErrNoMain], while it cannot be read [conflist.ErrInvalid]; then only
// the binary is there.
func (in Installer) Install(ctx context.Context) error {
	if err := in.checkPlugin(ctx); err != nil {
		return err
	}
	n, err := openNode(ctx, in.BinDir, in.ConfDir)
	if err != nil {
		return err
	}
	defer n.Close()
	if n.bin == nil {
		return fmt.Errorf("the directory %s does not exist; give the runtime's directory of plugins with --bin-dir", in.BinDir)
	}
	p, why := in.plan(ctx, n.conf)
	if why == nil {
		why = errors.Join(in.elsewhere(n.bin, p.network), in.checkConf(ctx, p.plugin))
	}
	if why != nil && !waits(why) {
		return why
	}
	if err := in.putBinary(n.bin); err != nil {
		return err
	}
	if why != nil {
		return why
	}
	return in.carryOut(n.conf, p)
}

// elsewhere refuses an assumed directory that does not have the network's own plugin:
// the runtime finds that, so that it looks elsewhere, and every pod would fail.
func (in Installer) elsewhere(bin *dir, n network) error {
	main, ok := n.List.Main()
	if !ok || !in.Assumed {
		return nil
	}
	path := bin.join(main.Type)
	_, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is missing, the plugin of the network %s: it is not installed, or the runtime does not look for plugins in %s; "+
			"install it, or start the runtime so that it says where it looks, or give its directory with --bin-dir", path, n.List.Name, bin.path)
	}
	return err
}

// checkPlugin refuses a configuration with which every pod would fail.
func (in Installer) checkPlugin(ctx context.Context) error {
	if err := checkIsPlugin(in.From); err != nil {
		return fmt.Errorf("%w; name it with --from", err)
	}
	if in.Plugin == nil {
		return nil
	}
	if err := conflist.CheckPlugin(in.Plugin); err != nil {
		return err
	}
	return in.checkConf(ctx, in.Plugin)
}

// checkConf asks the plugin for what it has against a configuration. What else it may
// say is about this node, or this container.
func (in Installer) checkConf(ctx context.Context, conf []byte) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	err := plugin.Check(ctx, in.From, "any", "1.1.0", conf)
	if errors.Is(err, plugin.ErrConfig) {
		return fmt.Errorf("%w; every pod would fail; correct it, and give it with --plugin-conf", err)
	}
	return nil
}

// carryOut makes the network call the plugin in one way, and then not in the other
// any more: twice does no harm, never does.
func (in Installer) carryOut(d *dir, p plan) error {
	in.Plugin = p.plugin
	steps := []func() error{
		func() error { return in.editList(d, p) },
		func() error { return in.putDropIns(d, p) },
	}
	if p.dropIn {
		steps[0], steps[1] = steps[1], steps[0]
	}
	if err := steps[0](); err != nil {
		return err
	}
	return steps[1]()
}

// editList makes the network's own list have the plugin, or not.
func (in Installer) editList(d *dir, p plan) error {
	if p.isChain() {
		return nil
	}
	return in.edit(d, p.File, func(data []byte) ([]byte, error) {
		var err error
		if in.CNIVersion != "" {
			if data, err = conflist.SetVersion(data, in.CNIVersion); err != nil {
				return nil, err
			}
		}
		if p.dropIn {
			return conflist.Remove(data)
		}
		return conflist.Insert(data, in.Plugin)
	})
}

// putDropIns makes the directory of the network have the plugin's file, or none.
func (in Installer) putDropIns(d *dir, p plan) error {
	if p.write != "" {
		if err := in.writeDropIn(d, p.List.Name, p.write); err != nil {
			return err
		}
	}
	if err := in.removeFiles(d, p.remove); err != nil {
		return err
	}
	if p.dropIn {
		return nil
	}
	return d.removeNetworkDir(p.List.Name)
}
