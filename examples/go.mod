module github.com/cni-bpffs/cni-bpffs/examples

go 1.26

require (
	github.com/cilium/ebpf v0.22.0
	github.com/cni-bpffs/cni-bpffs v0.0.0-00010101000000-000000000000
	github.com/containernetworking/cni v1.3.1
	github.com/vishvananda/netlink v1.3.1
	github.com/vishvananda/netns v0.0.5
)

require (
	github.com/moby/sys/mountinfo v0.7.3 // indirect
	golang.org/x/sys v0.43.0 // indirect
)

replace github.com/cni-bpffs/cni-bpffs => ..
