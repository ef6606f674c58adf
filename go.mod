module github.com/cni-bpffs/cni-bpffs

go 1.26

require (
	github.com/containernetworking/cni v1.3.1
	github.com/google/go-cmp v0.7.0
	github.com/moby/sys/mountinfo v0.7.3
	golang.org/x/sys v0.40.0
)

require github.com/vishvananda/netns v0.0.4 // indirect
