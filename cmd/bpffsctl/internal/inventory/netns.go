package inventory

import (
	"errors"

	"github.com/cni-bpffs/cni-bpffs/internal/netns"
)

// Whether there is a network namespace at a path.
const (
	NetNSUnknown = iota // no path is recorded, or it cannot be looked at
	NetNSExists
	NetNSIsGone
)

// NetNSState says whether there is a network namespace at path.
func NetNSState(path string) int {
	if path == "" {
		return NetNSUnknown
	}
	_, err := netns.Look(path)
	switch {
	case err == nil:
		return NetNSExists
	case errors.Is(err, netns.ErrGone):
		return NetNSIsGone
	}
	return NetNSUnknown
}
