package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/install"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/lost"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/places"
)

// addWatch gives the command the flags of --watch.
func (f *installFlags) addWatch(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.BoolVar(&f.watch, "watch", false, "keep running until SIGTERM, and put back what is removed")
	flags.StringVar(&f.statusFile, "status-file", "", "with --watch: write to this file after each look whether the plugin is installed; bpffsctl probe reads it")
	flags.StringVar(&f.metrics, "metrics", "", "with --watch: serve /metrics, /readyz and /healthz over HTTP at this address, such as 127.0.0.1:9440")
	flags.BoolVar(&f.gc, "gc", false, "with --watch: release the endpoint of a pod whose network namespace in /run/netns has been gone for ten minutes")
	flags.StringVar(&f.nodeRoot, "node-root", "", "with --gc: where a container has the node's /run/netns and each bpffs, such as /host for /host/run/netns")
	_ = cmd.MarkFlagDirname("node-root")
	cmd.MarkFlagsMutuallyExclusive("watch", "timeout")
	cmd.MarkFlagsMutuallyExclusive("watch", "wait")
}

// watch installs the plugin again and again, and beside that releases what is lost.
func watch(ctx context.Context, in install.Installer, c *lost.Collector) error {
	ctx, cancel := context.WithCancel(ctx)
	var beside sync.WaitGroup
	defer beside.Wait()
	defer cancel()
	if c != nil {
		c.ConfDir = in.ConfDir
		beside.Go(func() { c.Run(ctx) })
	}
	return in.Watch(ctx)
}

// lostAfter is how long the network namespace of a pod must be gone. The linker sets it
// for tests that run the built program.
var lostAfter = "10m"

// collector returns what releases lost endpoints, nil if it is not wanted.
func (f *installFlags) collector(log func(format string, args ...any)) (*lost.Collector, error) {
	switch {
	case f.nodeRoot != "" && !f.gc:
		return nil, errors.New("--node-root is for --gc: add --gc, or leave it out")
	case f.gc && !f.watch:
		return nil, errors.New("--gc is for --watch: add --watch, or use bpffsctl gc, which asks the runtime")
	case !f.gc:
		return nil, nil
	case f.nodeRoot != "" && !filepath.IsAbs(f.nodeRoot):
		return nil, fmt.Errorf("--node-root %s: it is not an absolute path", f.nodeRoot)
	}
	after, err := time.ParseDuration(lostAfter)
	return &lost.Collector{Node: filepath.Clean(cmp.Or(f.nodeRoot, "/")), After: after, Log: log}, err
}

// reporter returns what tells others of each look of --watch, and tells them that there
// was none yet: a file that an earlier process left says how the node was then.
func (f *installFlags) reporter(ctx context.Context, log func(format string, args ...any), c *lost.Collector) (func(install.Status), error) {
	if !f.watch && f.statusFile+f.metrics != "" {
		return nil, errors.New("--status-file and --metrics are for --watch: add --watch, or leave them out")
	}
	save := func(s install.Status) error {
		if f.statusFile == "" {
			return nil
		}
		if err := s.Save(f.statusFile); err != nil {
			return fmt.Errorf("writing --status-file: %w", err)
		}
		return nil
	}
	first := install.Status{Looked: time.Now(), Reason: "the directories of the node are not yet known"}
	s := &server{where: placeFlags{Where: places.Where{ConfDir: f.dirs.ConfDir}, socket: f.dirs.CRISocket}, lost: c, whole: f.nodeRoot == ""}
	s.status.Store(&first)
	err := save(first)
	if err == nil && f.metrics != "" {
		err = s.serve(ctx, f.metrics, log)
	}
	return func(now install.Status) {
		s.status.Store(&now)
		if err := save(now); err != nil {
			log("%v", err)
		}
	}, err
}
