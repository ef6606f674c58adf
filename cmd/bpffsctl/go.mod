module github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl

go 1.25.0

replace github.com/cni-bpffs/cni-bpffs => ../../

require github.com/spf13/cobra v1.10.2

require (
	github.com/inconshreveable/mousetrap v1.1.0 // indirect
	github.com/spf13/pflag v1.0.9 // indirect
)
