package main

import (
	"errors"
	"syscall"

	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

// CNI error codes: those of the specification (1.1.0, section 5, "Error"), and
// from 100 on our own. docs/configuration.md lists them for users.
const (
	codeVersion      = 1   // cniVersion not supported
	codeEnvironment  = 4   // an environment variable is missing or wrong
	codeInput        = 5   // reading or writing failed
	codeDecoding     = 6   // standard input is not JSON
	codeConfig       = 7   // the network configuration is wrong
	codeNetNS        = 8   // CNI_NETNS is the plugin's own
	codeTryAgain     = 11  // a lock was not had in time
	codeNotAvailable = 50  // STATUS: an ADD cannot be served
	codeRoot         = 100 // no bpffs to be had at the root
	codeUnsafe       = 101 // a directory that others could have prepared
	codeLayout       = 102 // records of a version that this one does not know
	codeFull         = 103 // no endpoint ID left
	codeOccupied     = 104 // something of somebody else is at a path
	codeCheck        = 105 // CHECK found a difference
	codeMapRefused   = 106 // the kernel did not create or pin a map
	codeMapShape     = 107 // what is pinned has another shape than declared
	codePinStuck     = 108 // a pin could not be removed
	codeInternal     = 999 // anything else
)

// Sentinel errors of the protocol and the verbs.
var (
	errVersion     = errors.New("incompatible CNI version")
	errEnvironment = errors.New("invalid environment variable")
	errInput       = errors.New("input and output")
	errDecoding    = errors.New("decoding the network configuration")
	errConfig      = errors.New("invalid network configuration")
	errNetNS       = errors.New("invalid network namespace")
	errRoot        = errors.New("preparing bpffs")
	errCheck       = errors.New("check")
)

// codes says which CNI error code an error gets. The first that fits counts.
var codes = []struct {
	err  error
	code uint
}{
	{errVersion, codeVersion},
	{errEnvironment, codeEnvironment},
	{errInput, codeInput},
	{errDecoding, codeDecoding},
	{errConfig, codeConfig},
	{errNetNS, codeNetNS},
	{errCheck, codeCheck},
	{bpffs.ErrUnsafe, codeUnsafe},
	{bpffs.ErrPinStuck, codePinStuck},
	{syscall.EROFS, codeRoot},
	{bpffs.ErrLocked, codeTryAgain},
	{bpffs.ErrLayout, codeLayout},
	{bpffs.ErrFull, codeFull},
	{bpffs.ErrOccupied, codeOccupied},
	{bpffs.ErrMapRefused, codeMapRefused},
	{bpffs.ErrMapShape, codeMapShape},
	{errRoot, codeRoot},
	{bpffs.ErrNotFound, codeRoot},
}

// codeOf returns the CNI error code of what a command answered. STATUS has one
// code for whatever keeps an ADD from being served.
func codeOf(err error, command string) uint {
	code := uint(codeInternal)
	for _, c := range codes {
		if errors.Is(err, c.err) {
			code = c.code
			break
		}
	}
	if command == "STATUS" && code >= codeTryAgain {
		return codeNotAvailable
	}
	return code
}
