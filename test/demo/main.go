// Command demo shows the life of a pod with the plugin bpffs, from cnitool's add
// to its del: each command, what it prints, and whether that is what was to be
// expected. If it is not, the demo ends there and says so.
//
// It needs root, the binaries that "make tools" builds, and of the system only
// sh, ls, find, grep and rm. All of it happens in namespaces of its own; the
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
	"syscall"
)

// inside is the argument that tells the demo that it is in its own namespaces.
const inside = "inside-own-namespaces"

// errShown: the demo ended early and has said why.
var errShown = errors.New("the demo ended early")

func main() {
	root := flag.String("root", ".", "the top of the source tree, with bin/cni and conf")
	flag.Parse()
	err := run(*root, flag.Arg(0) == inside)
	if err == nil {
		return
	}
	if !errors.Is(err, errShown) {
		fmt.Fprintf(os.Stderr, "demo: %v\n", err)
	}
	os.Exit(1)
}

func run(root string, isInside bool) error {
	if !isInside {
		return runInside(root, os.Stdout, os.Stderr)
	}
	n, err := newNode(root)
	if err != nil {
		return fmt.Errorf("preparing the node: %w", err)
	}
	return story(n, &shell{out: os.Stdout, env: n.env()})
}

// runInside runs this program again, in mount, network and process namespaces of
// its own, which end with it.
func runInside(root string, stdout, stderr io.Writer) error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("namespaces and mounts need root, this is user %d", os.Geteuid())
	}
	root, err := filepath.Abs(root)
	if err != nil {
		return err
	}
	cmd := exec.Command("/proc/self/exe", "-root", root, inside)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:   syscall.CLONE_NEWPID | syscall.CLONE_NEWNET,
		Unshareflags: syscall.CLONE_NEWNS, // also makes propagation private
		Pdeathsig:    syscall.SIGKILL,
	}
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Exited() {
		return errShown
	}
	return err
}
