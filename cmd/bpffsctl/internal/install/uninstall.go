package install

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/conflist"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/inventory"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/output"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/places"
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

// ErrKept says that the binary was not removed, because something may need it.
var ErrKept = errors.New("the plugin's binary stays")

// An Uninstaller takes away what an [Installer] brought.
type Uninstaller struct {
	BinDir, ConfDir string
	Network         string // empty: every network
	KeepBinary      bool   // only take it out of the configurations
	Force           bool   // remove the binary though something may need it
	Roots           bpffs.Roots
	NamedIn         []string // other directories of networks that may name the binary
	Forced          string   // the command that does the same with Force
	Collect         []string // the bpffsctl gc that knows what is alive, without what it removes

	// Log is told of every change.
	Log func(format string, args ...any)
}

// Uninstall takes the plugin out of the configurations and then removes its
// binary. What others wrote is afterwards as they wrote it.
//
// [ErrKept] if the binary stays, because pods that are recorded in a bpffs need it
// for their DEL, because no bpffs or no directory of networks can be seen here, or
// because another configuration names it.
func (un Uninstaller) Uninstall(ctx context.Context) error {
	n, err := openNode(ctx, un.BinDir, un.ConfDir)
	if err != nil {
		return err
	}
	defer n.Close()
	if n.conf == nil && !un.Force {
		return fmt.Errorf("%w in %s: the directory %s does not exist, and networks elsewhere may name the plugin; "+
			"give their directory with --conf-dir, or if no network names it: %s", ErrKept, un.BinDir, un.ConfDir, un.Forced)
	}
	where := places.Find(places.Where{Roots: un.Roots, ConfDir: un.ConfDir}) // before the configurations forget them
	if _, err := look(ctx, where); err != nil && !un.KeepBinary && !un.Force {
		return notKnown(err)
	}
	named, err := un.takeOut(n.conf, un.takes)
	if un.KeepBinary {
		return err
	}
	if un.Force {
		un.sayMounted(inventory.Unrecorded(func() ([]inventory.Record, error) { return nil, nil })) // nobody acts on records any more
		return errors.Join(err, un.removeBinary(n.bin))
	}
	for _, path := range un.NamedIn {
		others, oerr := un.takeOut(&dir{path: path}, func(string) bool { return false })
		named, err = append(named, others...), errors.Join(err, oerr)
	}
	if err != nil {
		return fmt.Errorf("%w; so the plugin's binary stays in %s, except with --force", err, un.BinDir)
	}
	found, err := look(ctx, where)
	if err != nil {
		return notKnown(err)
	}
	if un.Roots.Root == "" { // else records of other roots may name them
		un.sayMounted(inventory.Unrecorded(func() ([]inventory.Record, error) { return readRecords(ctx, where) }))
	}
	if err := un.keeps(found, named); err != nil {
		return fmt.Errorf("%w in %s: %w", ErrKept, un.BinDir, err)
	}
	return un.removeBinary(n.bin)
}

// takes reports whether the network is to lose the plugin.
func (un Uninstaller) takes(network string) bool { return un.Network == "" || network == un.Network }

// takeOut takes the plugin out of the configurations of the networks that are to lose
// it, and returns those that still name it. What cannot be read might name it.
func (un Uninstaller) takeOut(d *dir, takes func(network string) bool) (named []string, err error) {
	if d == nil {
		return nil, nil
	}
	all, err := conflist.Read(d.path)
	errs := []error{err}
	in := Installer{Log: un.Log}
	for _, n := range all.All() {
		takes := takes(n.List.Name)
		_, ok := n.List.Ours()
		switch {
		case n.Err != nil:
			errs = append(errs, n.Err)
		case !ok:
		case !takes || !n.List.HasOthers():
			named = append(named, n.Path)
		default:
			errs = append(errs, in.edit(d, n.File, conflist.Remove))
		}
		still, err := un.takeOutDropIns(in, d, network{n}, takes)
		named, errs = append(named, still...), append(errs, err)
	}
	return named, errors.Join(errs...)
}

// takeOutDropIns does the same with the drop-in files of a network, unless they stay.
func (un Uninstaller) takeOutDropIns(in Installer, d *dir, n network, takes bool) (named []string, err error) {
	errs := []error{n.DropInsErr}
	var remove []conflist.File
	for _, f := range n.DropIns {
		_, ok := f.List.Ours()
		switch {
		case f.Unclear():
			errs = append(errs, f.Err)
		case !ok:
		case !takes:
			named = append(named, f.Path)
		default:
			if err := changeable(f.Path); err != nil {
				errs = append(errs, err)
				continue
			}
			remove = append(remove, f)
		}
	}
	errs = append(errs, in.removeFiles(d, remove))
	if takes {
		errs = append(errs, d.removeNetworkDir(n.List.Name))
	}
	return named, errors.Join(errs...)
}

// keeps says why somebody may still need the binary, also if configurations name it.
func (un Uninstaller) keeps(found recorded, named []string) error {
	if len(named) > 0 {
		return fmt.Errorf("it is still named in %s; take it out there, or if nobody uses it: %s", strings.Join(named, ", "), un.Forced)
	}
	if !found.mounted {
		return fmt.Errorf("found no bpffs, neither at %s nor elsewhere, so bpffsctl cannot tell whether pods need the binary; "+
			"in a container mount the node's; if there are no such pods: %s", bpffs.DefaultRoot, un.Forced)
	}
	if found.endpoints == 0 {
		return nil
	}
	return fmt.Errorf("%s at %s: the runtime needs the plugin to delete the pods; delete them, remove what is left "+
		"of them with %s, then run this command again; or give up the maps of these pods: %s",
		output.Count(found.endpoints, "endpoint is recorded", "endpoints are recorded"), strings.Join(found.roots, ", "), found.collect(un.Collect), un.Forced)
}

// sayMounted logs what the plugin mounted in volumes of pods and will not unmount.
func (un Uninstaller) sayMounted(left []string, err error) {
	if err != nil {
		un.Log("cannot tell what stays mounted in volumes of pods: %v", err)
	}
	if len(left) > 0 {
		un.Log("%s mounted in volumes of pods: the plugin will not unmount it, and kubelet cannot remove the volume when the pod is deleted: %s",
			output.Count(len(left), "file system stays", "file systems stay"), output.Command(append([]string{"umount"}, left...)...))
	}
}

// notKnown is err as the reason not to remove the binary.
func notKnown(err error) error {
	return fmt.Errorf("cannot tell whether pods need the plugin, so its binary stays, except with --force: %w", err)
}

func (un Uninstaller) removeBinary(d *dir) error {
	if d == nil {
		return nil
	}
	path := d.join(conflist.PluginType)
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := checkIsPlugin(path); err != nil {
		return fmt.Errorf("%w, and stays", err)
	}
	if err := os.Remove(path); err != nil {
		return err
	}
	un.Log("removed %s", path)
	return d.sync()
}
