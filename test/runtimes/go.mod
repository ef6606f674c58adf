module github.com/cni-bpffs/cni-bpffs/test/runtimes

go 1.26.0

require (
	github.com/cilium/ebpf v0.22.0
	github.com/cni-bpffs/cni-bpffs v0.0.0-00010101000000-000000000000
	github.com/containernetworking/cni v1.3.0
	github.com/google/go-cmp v0.7.0
	github.com/vishvananda/netlink v1.3.1
	github.com/vishvananda/netns v0.0.5
	golang.org/x/sys v0.48.0
	google.golang.org/grpc v1.85.0
	k8s.io/cri-api v0.37.2
)

require (
	github.com/go-json-experiment/json v1.27.2 // indirect
	github.com/moby/sys/mountinfo v0.7.3 // indirect
	golang.org/x/net v0.60.0 // indirect
	golang.org/x/text v0.42.0 // indirect
	google.golang.org/genproto/googleapis/rpc v0.0.0-20260817212433-ac3dfec99bb1 // indirect
	google.golang.org/protobuf v1.36.12 // indirect
)

replace github.com/cni-bpffs/cni-bpffs => ../..
