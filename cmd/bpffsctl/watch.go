package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/install"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/lost"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/places"
)

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
