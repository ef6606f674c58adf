module github.com/cni-bpffs/cni-bpffs

go 1.25.0

require (
	github.com/google/go-cmp v0.7.0
	github.com/moby/sys/mountinfo v0.7.3
	golang.org/x/sys v0.40.0
)
