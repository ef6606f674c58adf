// Package bpfmount makes BPF file systems that are mounted, but not attached to a path until
// they are as they should be (fsopen(2), Linux 5.2).
package bpfmount

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// Type is the name of the BPF file system in mount(2) and in mount tables.
const Type = "bpf"

// New makes a bpffs of this process's user namespace and returns its root. The mount
// is gone when the root is closed, unless it was attached. Needs CAP_SYS_ADMIN.
func New(source string, mode fs.FileMode) (root *os.File, err error) {
	context, err := Open()
	if err != nil {
		return nil, err
	}
	defer context.Close()
	return Make(context, source, mode)
}

// Make makes the file system of the context, of whatever user namespace, and returns
// its root, on which there are the rights mode. source is what mount tables call it.
// It is mounted with nosuid, nodev and noexec.
//
// The kernel passes by the options of a bpffs that it does not know, so the rights are
// read back.
func Make(context *os.File, source string, mode fs.FileMode) (root *os.File, err error) {
	err = Set(context, "source", source)
	if err == nil {
		err = Set(context, "mode", fmt.Sprintf("%#o", mode.Perm()))
	}
	if err == nil {
		root, err = create(context)
	}
	if err != nil {
		return nil, err
	}
	if err := setMode(root, mode); err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return root, nil
}
