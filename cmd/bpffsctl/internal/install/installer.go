package install

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/conflist"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/plugin"
)

// A Mode is the way in which a network gets the plugin.
type Mode string

// The modes.
const (
	Auto     Mode = "auto"     // DropIn where the runtime reads such files, else Conflist
	DropIn   Mode = "drop-in"  // a file in the directory of the network
	Conflist Mode = "conflist" // an element of the network's own list
)

// checkTimeout is how long the plugin may take to say what it has against its
// configuration.
const checkTimeout = 5 * time.Second

// An Installer is a node and what it is to have.
type Installer struct {
	BinDir, ConfDir string
	Network         string // empty: the one that runtimes take
	Mode            Mode
	From            string // the plugin's binary
	Plugin          []byte // the plugin's configuration, a JSON object; nil: what the network has, else the least

	// ReadsDropIns reports for [Auto] whether the runtime reads drop-in files. Where
	// that is not known the network keeps the way that it has, at first Conflist.
	ReadsDropIns func(context.Context) (reads, known bool)
	// Log is told of every change.
	Log func(format string, args ...any)
}

// Install makes the node have the plugin: first the binary, then what names it.
// Where everything is in place it changes nothing. While there is no main
// plugin's configuration the error is [conflist.ErrNoMain], while it cannot be
// read [conflist.ErrInvalid]; then only the binary is there.
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
		return fmt.Errorf("there is no directory %s; say with --bin-dir where runtimes find the plugins", in.BinDir)
	}
	if err := in.putBinary(n.bin); err != nil {
		return err
	}
	if n.conf == nil {
		return fmt.Errorf("%w: there is no directory %s", conflist.ErrNoMain, in.ConfDir)
	}
	return in.configure(ctx, n.conf)
}

// checkPlugin refuses a configuration with which every pod would fail. What else
// the plugin may say is about this node, or this container.
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
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	err := plugin.Check(ctx, in.From, "any", "1.1.0", in.Plugin)
	if errors.Is(err, plugin.ErrConfig) {
		return err
	}
	return nil
}

// configure makes the network call the plugin in one way, and then not in the
// other any more: twice does no harm, never does.
func (in Installer) configure(ctx context.Context, dir *dir) error {
	files, err := conflist.ReadDir(dir.path)
	if err != nil {
		return err
	}
	file, err := conflist.Choose(files, in.Network)
	if errors.Is(err, conflist.ErrNoMain) {
		return fmt.Errorf("%s: %w", dir.path, err)
	}
	if err != nil {
		return err
	}
	if in.Plugin == nil {
		in.Plugin = configured(dir, file.List)
	}
	if !in.dropIn(ctx, dir, file.List) {
		if err := in.edit(dir, file, in.insert); err != nil {
			return err
		}
		return in.removeDropIns(dir, file.List.Name)
	}
	if file.List.OnlyInlined {
		return fmt.Errorf("%s says loadOnlyInlinedPlugins, so that no runtime reads drop-in files for it; use --mode conflist", file.Path)
	}
	if err := in.putDropIn(dir, file.List.Name); err != nil {
		return err
	}
	return in.edit(dir, file, conflist.Remove)
}

// configured returns the configuration of the plugin that the network has, in its
// list or in a drop-in file.
func configured(dir *dir, list conflist.List) []byte {
	for _, f := range append([]conflist.File{{List: list}}, ourDropIns(dir, list.Name)...) {
		if ours, ok := f.List.Ours(); ok {
			return ours.Raw
		}
	}
	return []byte(`{"type":"` + conflist.PluginType + `"}`)
}

func (in Installer) insert(data []byte) ([]byte, error) {
	return conflist.Insert(data, in.Plugin)
}

// dropIn decides whether the network gets a drop-in file.
func (in Installer) dropIn(ctx context.Context, dir *dir, list conflist.List) bool {
	if in.Mode != Auto {
		return in.Mode == DropIn
	}
	if list.OnlyInlined {
		return false
	}
	if reads, known := in.ReadsDropIns(ctx); known {
		return reads
	}
	_, inList := list.Ours()
	return !inList && len(ourDropIns(dir, list.Name)) > 0
}
