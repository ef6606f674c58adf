// Package bpffs prepares the BPF file system (bpffs) of a node for containers
// and finds it again: it mounts bpffs where it is missing, gives every
// attachment of a container to a network an endpoint ID that is unique in the
// bpffs, names and pins the maps that belong to that endpoint, and carries their
// paths through a CNI result.
//
// A process that prepares the node calls [Mount], then [CreateEndpoints] and
// [Endpoints.Allocate], and hands the paths on with [AppendPaths]. A process
// that only uses what is there calls [LocalMaps], or [FindRoot] and then [LookUp] or
// [Watch]. [MapDir.Environ] tells child processes such as tc where the maps are.
//
// All state is in the bpffs itself, below the directory "cni", and goes with
// it. Nothing here keeps global variables, logs or ends the process. Linux only;
// mounting needs CAP_SYS_ADMIN, pinning maps CAP_BPF. Every call that locks waits
// until its context is done, and at most [LockTimeout].
package bpffs
