package testns

import "syscall"

// UserNS returns the attributes of a process in new namespaces, by their flags of
// clone(2), which belong to a user namespace of its own. Its users and groups, 65,536
// from root on, are those of the node from first on.
func UserNS(first int, namespaces uintptr) *syscall.SysProcAttr {
	ids := []syscall.SysProcIDMap{{ContainerID: 0, HostID: first, Size: 65_536}}
	return &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWUSER | namespaces, UidMappings: ids, GidMappings: ids, Credential: &syscall.Credential{},
	}
}
