// Package podfs makes small BPF file systems that a pod sees in a volume of its own.
//
// Each is made detached, filled, and attached last, so that nobody sees it half done.
// docs/pods.md says why it is a file system for each and not a bind of the node's.
package podfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/cni-bpffs/cni-bpffs/internal/bpf"
	"github.com/cni-bpffs/cni-bpffs/internal/bpfmount"
	"github.com/cni-bpffs/cni-bpffs/internal/mounts"
)

// An FS is a BPF file system that is mounted, but not attached to a path before [FS.Attach].
// It is gone when it is closed before that.
type FS struct {
	context *os.File // for reconfiguring
	mount   *os.File // its root
	source  string   // which the mount table shows, and no other mount has
}

// New makes a bpffs of this process's user namespace, whose root everybody can list
// and only root can write to. Needs CAP_SYS_ADMIN and Linux 5.17, or an updated 5.15.
func New() (*FS, error) {
	context, err := bpfmount.Open()
	if err != nil {
		return nil, err
	}
	return NewFrom(context)
}

// NewFrom is like New for the open context of a bpffs, of whatever user namespace,
// which it closes after an error.
func NewFrom(context *os.File) (*FS, error) {
	if err := CheckKernel(); err != nil {
		return nil, errors.Join(err, context.Close())
	}
	f := &FS{context: context, source: newSource()}
	var err error
	if f.mount, err = bpfmount.Make(context, f.source, 0o755); err != nil {
		return nil, errors.Join(err, context.Close())
	}
	return f, nil
}

// ErrUnfindable says that on this kernel no file system of this package would be found
// again, to unmount it.
var ErrUnfindable = errors.New("this kernel gives no name to what is mounted, so that nobody could unmount it: use a node with Linux 5.17 or newer")

// CheckKernel reports why [New] would refuse this kernel.
func CheckKernel() error {
	if mounts.HasStatmount() {
		return nil
	}
	keeps, err := bpfmount.KeepsSource()
	if err == nil && !keeps {
		err = ErrUnfindable
	}
	return err
}

// Close closes the file system. One that is attached stays.
func (f *FS) Close() error {
	return errors.Join(f.context.Close(), f.mount.Close())
}

// ID returns the ID of the mount.
func (f *FS) ID() (mounts.ID, error) { return mounts.IDOf(f.mount, f.source) }

// Pin pins the map in the root with the mode, under a name that is free.
func (f *FS) Pin(m *os.File, name string, mode fs.FileMode) error {
	if err := bpf.PinAt(m, f.mount, name); err != nil {
		return err
	}
	return chmodAt(f.mount, name, mode)
}

// SetReadOnly makes the file system read-only for good, as far as a pod is
// concerned: nobody can open a map in it for writing, not even root.
func (f *FS) SetReadOnly() error {
	return reconfigure(f.context, "ro")
}

// Seal makes the mount read-only, and with it all copies that containers get: nobody
// can add or remove a pin, nor change the rights on one. Maps can still be opened for
// writing. Before Linux 5.12 it does nothing.
func (f *FS) Seal() error {
	return seal(f.mount, true)
}

// Attach makes the file system visible at the directory name in dir, which it makes
// if it is missing. [ErrOccupied] if anything else is there.
func (f *FS) Attach(dir *os.File, name string) error {
	at, err := MakeDir(dir, name)
	if err != nil {
		return err
	}
	defer at.Close()
	if err := checkEmpty(at); err != nil {
		return err
	}
	if err := bpfmount.Attach(f.mount, at); err != nil {
		return fmt.Errorf("mounting a bpffs at %s: %w", at.Name(), err)
	}
	return nil
}

// checkEmpty reports that there is something in the directory.
func checkEmpty(dir *os.File) error {
	names, err := dir.Readdirnames(1)
	if len(names) > 0 {
		return fmt.Errorf("%s: %w: it contains %q, which a mount would hide: remove it", dir.Name(), ErrOccupied, names[0])
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return err
}

// ErrOccupied says that something of somebody else is where a file system is to be
// attached.
var ErrOccupied = errors.New("the path is occupied")
