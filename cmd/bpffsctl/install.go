package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/cnidirs"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/conflist"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/input"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/install"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/output"
	"github.com/cni-bpffs/cni-bpffs/internal/netconf"
)

// waitFor is how long install waits for the main plugin if nothing is said.
const waitFor = time.Minute

type installFlags struct {
	dirs                                        cnidirs.Request
	network, mode, from, pluginConf, cniVersion string
	statusFile, metrics, nodeRoot               string

	losePaths, wait, watch, gc bool
	timeout                    time.Duration
}

func newInstall() *cobra.Command {
	var f installFlags
	cmd := &cobra.Command{
		Use:   "install",
		Short: "Put the plugin and its configuration onto this node",
		Long: `Put the plugin and its configuration onto this node.

The binary is replaced in one step, also while it runs. The network's own list gets the
plugin directly after the one that makes the interface, and keeps every other byte. If
the runtime reads drop-in files, the network gets one instead. A configuration that is
there stays. If the result could not work, the command refuses before it changes
anything. It waits until the main plugin has written its configuration.

Exit codes: 0 done, 2 not done.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.run(cmd.Context(), cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	addDirFlags(cmd, &f.dirs)
	flags.StringVar(&f.network, "network", "", "name of the network (default: the one that runtimes use, the first in the order of file names)")
	flags.StringVar(&f.mode, "mode", string(install.Auto), "auto, drop-in or conflist; auto keeps the way of the network, and starts with drop-in if the runtime answers at its CRI socket and reads such files")
	flags.StringVar(&f.from, "from", "", "the plugin's binary (default: bpffs beside bpffsctl)")
	flags.StringVar(&f.pluginConf, "plugin-conf", "", `file with the plugin's configuration, a JSON object, - for standard input (default: the one that the network has, else {"type":"bpffs"})`)
	flags.StringVar(&f.cniVersion, "cni-version", "", "set the cniVersion of the network's own list; uninstall keeps it (default: what the list says)")
	flags.BoolVar(&f.losePaths, "lose-paths", false, "change to drop-in even if plugins after bpffs in the list then lose the paths of the maps")
	flags.BoolVar(&f.wait, "wait", true, "wait for the main plugin's configuration")
	flags.DurationVar(&f.timeout, "timeout", 0, "how long to wait (default: 1m)")
	flags.BoolVar(&f.watch, "watch", false, "keep running until SIGTERM, and put back what is removed")
	flags.StringVar(&f.statusFile, "status-file", "", "with --watch: write to this file after each look whether the plugin is installed; bpffsctl probe reads it")
	flags.StringVar(&f.metrics, "metrics", "", "with --watch: serve /metrics, /readyz and /healthz over HTTP at this address, such as 127.0.0.1:9440")
	flags.BoolVar(&f.gc, "gc", false, "with --watch: release the endpoint of a pod whose network namespace in /run/netns has been gone for ten minutes")
	flags.StringVar(&f.nodeRoot, "node-root", "", "with --gc: where a container has the node's /run/netns and each bpffs, such as /host for /host/run/netns")
	_ = cmd.MarkFlagDirname("node-root")
	cmd.MarkFlagsMutuallyExclusive("watch", "timeout")
	cmd.MarkFlagsMutuallyExclusive("watch", "wait")
	_ = cmd.RegisterFlagCompletionFunc("mode", cobra.FixedCompletions(
		[]string{string(install.Auto), string(install.DropIn), string(install.Conflist)}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (f *installFlags) run(ctx context.Context, stderr io.Writer) error {
	in, err := f.installer(ctx, stderr)
	if err != nil {
		return err
	}
	c, err := f.collector(in.Log)
	if err == nil {
		in.Report, err = f.reporter(ctx, in.Log, c)
	}
	if err != nil {
		return err
	}
	dirs, err := makeDirs(ctx, f.dirs, in.Log)
	if err != nil {
		return err
	}
	in.BinDir, in.ConfDir, in.Assumed = dirs.Target(), dirs.Conf, dirs.BinFrom == cnidirs.Assumed
	switch {
	case f.watch:
		return watch(ctx, in, c)
	case !f.wait:
		return in.Install(ctx)
	}
	timeout := f.timeout
	if timeout == 0 {
		timeout = waitFor
	}
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("nothing came within %v", timeout))
	defer cancel()
	return in.Wait(ctx)
}

// installer returns what the flags ask for.
func (f *installFlags) installer(ctx context.Context, stderr io.Writer) (install.Installer, error) {
	in := install.Installer{
		Network: f.network, Mode: install.Mode(f.mode), From: f.from,
		CNIVersion: f.cniVersion, LosePaths: f.losePaths,
		Runtime: (&install.Runtime{Socket: f.dirs.CRISocket}).Version,
		Log:     logTo(stderr),
	}
	switch in.Mode {
	case install.Auto, install.DropIn, install.Conflist:
	default:
		return in, fmt.Errorf("--mode %q: use auto, drop-in or conflist", f.mode)
	}
	if f.timeout < 0 {
		return in, fmt.Errorf("--timeout %v: give the time to wait, such as 30s, or --wait=false", f.timeout)
	}
	if in.From == "" {
		self, err := os.Executable()
		if err != nil {
			return in, fmt.Errorf("finding bpffs beside bpffsctl: %w", err)
		}
		in.From = filepath.Join(filepath.Dir(self), "bpffs")
	}
	if f.pluginConf != "" {
		var err error
		if in.Plugin, err = input.Read(ctx, f.pluginConf, os.Stdin); err != nil {
			return in, err
		}
		sayUnknown(in)
	}
	return in, nil
}

// sayUnknown warns of keys that the plugin ignores, such as a wrong name of maps.
func sayUnknown(in install.Installer) {
	if conflist.CheckPlugin(in.Plugin) != nil {
		return // which is said later
	}
	if conf, err := netconf.Parse(in.Plugin); err == nil && len(conf.UnknownKeys()) > 0 {
		in.Log("warning: --plugin-conf: the plugin ignores the unknown %s", strings.Join(conf.UnknownKeys(), ", "))
	}
}

// logTo writes one line for each message.
func logTo(w io.Writer) func(format string, args ...any) {
	return func(format string, args ...any) {
		fmt.Fprintln(w, "bpffsctl:", output.Sprintf(format, args...))
	}
}
