package testns

import (
	"os"

	"golang.org/x/sys/unix"
)

// KeepCapabilities drops all capabilities of this thread but those in the set, one bit
// for each.
func KeepCapabilities(set uint64) error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	data := [2]unix.CapUserData{
		{Effective: uint32(set), Permitted: uint32(set)},
		{Effective: uint32(set >> 32), Permitted: uint32(set >> 32)},
	}
	return os.NewSyscallError("capset", unix.Capset(&header, &data[0]))
}
