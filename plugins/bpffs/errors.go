package main

import (
	"errors"
	"syscall"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/cni-bpffs/cni-bpffs/internal/netconf"
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

// Our own CNI error codes, beside those of package types (CNI specification 1.1.0,
// section 5, "Error"). docs/configuration.md lists all for users.
const (
	codeRoot       = 100 // no usable bpffs at the root
	codeUnsafe     = 101 // a directory that others could have prepared
	codeLayout     = 102 // records of a version that this one does not know
	codeFull       = 103 // no endpoint ID left
	codeOccupied   = 104 // something of somebody else is at a path
	codeCheck      = 105 // CHECK found a difference
	codeMapRefused = 106 // the kernel did not create or pin a map
	codeMapShape   = 107 // a pinned map has another shape than declared
	codePinStuck   = 108 // a pin could not be removed
	codePodVolume  = 109 // a pod's volume cannot be used
	codePodMaps    = 110 // a pod asks for maps that it cannot have
)

// Sentinel errors of the protocol and the verbs.
var (
	errEnvironment = errors.New("invalid environment variable")
	errInput       = errors.New("input and output")
	errNetNS       = errors.New("invalid network namespace")
	errRoot        = errors.New("preparing bpffs")
	errCheck       = errors.New("check")
)

// codes says which CNI error code an error gets. The first that fits counts.
var codes = []struct {
	err  error
	code uint
}{
	{errEnvironment, types.ErrInvalidEnvironmentVariables},
	{errInput, types.ErrIOFailure},
	{netconf.ErrDecoding, types.ErrDecodingFailure},
	{netconf.ErrInvalid, types.ErrInvalidNetworkConfig},
	{netconf.ErrAnnotation, codePodMaps},
	{errNetNS, types.ErrInvalidNetNS},
	{errCheck, codeCheck},
	{bpffs.ErrPodVolume, codePodVolume},
	{bpffs.ErrUnsafe, codeUnsafe},
	{bpffs.ErrPinStuck, codePinStuck},
	{syscall.EROFS, codeRoot},
	{bpffs.ErrLocked, types.ErrTryAgainLater},
	{bpffs.ErrLayout, codeLayout},
	{bpffs.ErrFull, codeFull},
	{bpffs.ErrOccupied, codeOccupied},
	{bpffs.ErrMapRefused, codeMapRefused},
	{bpffs.ErrNoMap, codeMapRefused},
	{bpffs.ErrMapShape, codeMapShape},
	{errRoot, codeRoot},
	{bpffs.ErrNotMounted, codeRoot},
	{bpffs.ErrMounted, codeRoot},
	{bpffs.ErrStacked, codeRoot},
}

// codeOf returns the CNI error code of what a command answered. STATUS has one
// code for whatever keeps an ADD from being served, but an unsafe directory.
func codeOf(err error, command string) uint {
	code := types.ErrInternal
	for _, c := range codes {
		if errors.Is(err, c.err) {
			code = c.code
			break
		}
	}
	if command == "STATUS" && code >= types.ErrTryAgainLater && code != codeUnsafe {
		return types.ErrPluginNotAvailable
	}
	return code
}
