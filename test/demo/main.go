// Command demo shows the plugin bpffs at work, in three stories. The first is the
// life of a pod, from cnitool's add to its del: each command, what it prints, and
// whether that is what was to be expected. The second has the example plugin
// pktcount: two pods, pings, and the counters in each pod's own map; then DEL,
// after which the kernel has neither map nor links nor programs any more. The third
// has two pods without privilege, which use the maps in their volumes, and one of them
// a BPF token. What is not as expected ends the demo, which says so.
//
// It needs root, the binaries that "make build tools" builds, and of the system only
// sh, ls, find, grep and rm. Each story is played in namespaces of its own; the
// node stays as it is.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/test/internal/node"
)

// A story plays on a node that has its network configuration.
type story struct {
	name, conf string // conf is a file of the source tree
	play       func(out io.Writer) error
}

func stories() []story {
	return []story{
		{"life", "conf/10-bpffs.conflist", life},
		{"count", "examples/pktcount/pktcount.conflist", count},
		{"pods", "test/demo/pods.conflist", pods},
	}
}

// errShown: the demo ended early and has said why.
var errShown = errors.New("the demo ended early")

func main() {
	testns.Act(map[string]func(io.Writer) error{containerRole: container})
	root := flag.String("root", ".", "the top of the source tree, with bin/cni, conf and examples")
	flag.Parse()
	err := run(*root, flag.Arg(0))
	if err == nil {
		return
	}
	if !errors.Is(err, errShown) {
		fmt.Fprintf(os.Stderr, "demo: %v\n", err)
	}
	os.Exit(1)
}

// run plays the story of that name in these namespaces if they are its own; else
// all stories, each in new ones.
func run(root, name string) error {
	for _, s := range stories() {
		if testns.Inside() && s.name == name {
			return s.run(root, os.Stdout)
		}
	}
	return runAll(root, os.Stdout, os.Stderr)
}

func (s story) run(root string, out io.Writer) error {
	conf, err := os.ReadFile(filepath.Join(root, s.conf)) // the node may hide it
	if err == nil {
		err = node.Mount(root)
	}
	if err == nil {
		err = node.Configure(filepath.Base(s.conf), conf)
	}
	if err != nil {
		return fmt.Errorf("preparing the node: %w", err)
	}
	return s.play(out)
}

// runAll runs this program again for each story, in namespaces that end with it.
func runAll(root string, stdout, stderr io.Writer) error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("namespaces and mounts need root, this is user %d", os.Geteuid())
	}
	root, err := filepath.Abs(root)
	if err != nil {
		return err
	}
	for _, s := range stories() {
		cmd := testns.Isolated("-root", root, s.name)
		cmd.Stdout, cmd.Stderr = stdout, stderr
		err := cmd.Run()
		if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.Exited() {
			return errShown
		}
		if err != nil {
			return err
		}
	}
	return nil
}
