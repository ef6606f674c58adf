// Command bench measures what the plugin costs on a node, beside an empty
// program, plugins on skel that do next to nothing, and the plugins of
// containernetworking/plugins that do the least they exist for, and holds the
// results against the bars of this project.
//
//	bench [-runs N] [-mounts N] [-endpoints N] [-source DIR] [-scale]
//
// With -scale it measures a node at its limits instead: many pods at once, and few
// endpoints beside many.
//
// It needs root and the Go tool; a plugin that needs iptables or nft is measured
// where they are. All mounts, network interfaces and records are in namespaces of
// its own that go with it. Programs are started in turn (A B C, A B C, ...) and
// compared by their medians, for the speed of a machine changes from one minute to
// the next. The programs lie in a fresh tmpfs; every ADD is of a container not seen
// before, and its DEL follows.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
)

// options are the command line.
type options struct {
	runs      int
	mounts    int
	endpoints int
	source    string
	scale     bool
	node      string
}

func parseOptions() (options, error) {
	var o options
	flag.IntVar(&o.runs, "runs", 200, "start each program `N` times")
	flag.IntVar(&o.mounts, "mounts", 50_000, "go up to `N` mounts")
	flag.IntVar(&o.endpoints, "endpoints", 60_000, "go up to `N` endpoints")
	flag.StringVar(&o.source, "source", ".", "the sources are in `DIR`")
	flag.BoolVar(&o.scale, "scale", false, "measure a node at its limits instead, and print the rows of docs/scale.md")
	flag.StringVar(&o.node, "node", "", "for its own use: measure what is built in `DIR`")
	flag.Parse()
	if flag.NArg() > 0 {
		return o, fmt.Errorf("unknown argument %q", flag.Arg(0))
	}
	if o.runs < 1 || o.mounts < fewMounts || o.endpoints < slabEndpoints || o.endpoints > mostEndpoints {
		return o, fmt.Errorf("wanted -runs of at least 1, -mounts of at least %d, -endpoints from %d to %d",
			fewMounts, slabEndpoints, mostEndpoints)
	}
	return o, nil
}

func main() {
	o, err := parseOptions()
	switch {
	case err != nil:
	case o.node != "":
		err = measureNode(o)
	default:
		err = buildAndMeasure(o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// buildAndMeasure builds the programs and runs this program again in namespaces
// of its own.
func buildAndMeasure(o options) (err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	dir, err := os.MkdirTemp("", "bpffs-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	progress("building the programs")
	if err := build(ctx, o.source, filepath.Join(dir, builtDir)); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, self, append([]string{"-node", dir}, os.Args[1:]...)...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET,
		Setpgid:    true,
		Pdeathsig:  syscall.SIGKILL,
	}
	return cmd.Run()
}

// progress tells whoever waits what is going on.
func progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "bench: "+format+"\n", args...)
}
