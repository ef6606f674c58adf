// Command countdemo shows the example plugin pktcount at work: two pods, pings,
// and the counters in each pod's own map; then DEL, after which the kernel has
// neither map nor links nor programs any more. Each step is verified, and the
// first surprise ends it.
//
// It needs root and the binaries that "make tools" builds. All of it happens in
// namespaces of its own; the node stays as it is.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/cni-bpffs/cni-bpffs/test/internal/pods"
)

// inside is the argument that tells the demo that it is in its own namespaces.
const inside = "inside-own-namespaces"

func main() {
	root := flag.String("root", ".", "the top of the source tree, with bin/cni and examples")
	flag.Parse()
	if err := run(*root, flag.Arg(0) == inside); err != nil {
		fmt.Fprintf(os.Stderr, "countdemo: %v\n", err)
		os.Exit(1)
	}
}

func run(root string, isInside bool) error {
	if !isInside {
		return runInside(root)
	}
	n, err := pods.NewNode(root)
	if err != nil {
		return fmt.Errorf("preparing the node (\"make tools\" builds what it needs): %w", err)
	}
	return story(os.Stdout, n)
}

func runInside(root string) error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("namespaces and mounts need root, this is user %d", os.Geteuid())
	}
	root, err := filepath.Abs(root)
	if err != nil {
		return err
	}
	cmd := pods.Isolated("-root", root, inside)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd.Run()
}
