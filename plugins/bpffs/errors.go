package main

import (
	"errors"

	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"

	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

// Error codes of this plugin, beside those of the CNI specification (1.1.0,
// section 5, "Error"). docs/configuration.md lists them for users.
const (
	codeNotAvailable = 50  // STATUS: an ADD cannot be served
	codeRoot         = 100 // no bpffs to be had at the root
	codeUnsafe       = 101 // a directory that others could have prepared
	codeLayout       = 102 // records of a version that this one does not know
	codeFull         = 103 // no endpoint ID left
	codeOccupied     = 104 // something of somebody else is at a path
	codeCheck        = 105 // CHECK found a difference
	codeMapRefused   = 106 // the kernel did not create or pin a map
	codeMapShape     = 107 // what is pinned has another shape than declared
)

// Sentinel errors of the verbs.
var (
	errEnvironment = errors.New("environment")
	errCheck       = errors.New("check")
)

// codes says which CNI error code an error gets. The first that fits counts.
var codes = []struct {
	err  error
	code uint
}{
	{errConfig, types.ErrInvalidNetworkConfig},
	{errEnvironment, types.ErrInvalidEnvironmentVariables},
	{errCheck, codeCheck},
	{bpffs.ErrLocked, types.ErrTryAgainLater},
	{bpffs.ErrUnsafe, codeUnsafe},
	{bpffs.ErrLayout, codeLayout},
	{bpffs.ErrFull, codeFull},
	{bpffs.ErrOccupied, codeOccupied},
	{bpffs.ErrMapRefused, codeMapRefused},
	{bpffs.ErrMapShape, codeMapShape},
	{errRoot, codeRoot},
}

// coded gives the errors of a verb their CNI error codes.
func coded(verb func(*skel.CmdArgs) error) func(*skel.CmdArgs) error {
	return func(args *skel.CmdArgs) error {
		err := verb(args)
		if err == nil {
			return nil
		}
		for _, c := range codes {
			if errors.Is(err, c.err) {
				return types.NewError(c.code, err.Error(), "")
			}
		}
		return types.NewError(types.ErrInternal, err.Error(), "")
	}
}

// codedStatus is coded for STATUS, for which the specification has one code for
// whatever keeps an ADD from being served.
func codedStatus(verb func(*skel.CmdArgs) error) func(*skel.CmdArgs) error {
	return func(args *skel.CmdArgs) error {
		err := verb(args)
		if err == nil || errors.Is(err, errConfig) {
			return coded(func(*skel.CmdArgs) error { return err })(args)
		}
		return types.NewError(codeNotAvailable, err.Error(), "")
	}
}
