package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/cnidirs"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/conflist"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/cri"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/install"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/output"
)

func newUninstall() *cobra.Command {
	var un install.Uninstaller
	var dirs cnidirs.Request
	cmd := &cobra.Command{
		Use:   "uninstall",
		Short: "Remove the plugin and its configuration from this node",
		Long: `Remove the plugin and its configuration from this node.

The networks' own lists are afterwards as their main plugins wrote them. The binary
stays as long as pods have endpoints: the runtime needs it to delete them.

Exit codes: 0 done, 1 done, but the binary stays, 2 not done.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			un.Log, un.Forced = logTo(cmd.ErrOrStderr()), forced(cmd)
			found := findDirs(cmd.Context(), dirs, un.Log)
			un.Collect = collect(un.Roots.Root, dirs.CRISocket, found.Runtime)
			err := uninstall(cmd.Context(), un, found)
			if errors.Is(err, install.ErrKept) {
				un.Log("%v", err)
				return errFound
			}
			return err
		},
	}
	flags := cmd.Flags()
	addDirFlags(cmd, &dirs)
	flags.StringVar(&un.Network, "network", "", "name of the network (default: all that name the plugin)")
	addRootFlag(cmd, &un.Roots.Root)
	cmd.Flag("root").Usage = "the bpffs with the records (default: what the configuration says, /sys/fs/bpf)"
	flags.StringVar(&un.Roots.Fallback, "fallback", "", "another bpffs with records (default: what the configuration says, /run/cilium/bpffs)")
	_ = cmd.MarkFlagDirname("fallback")
	flags.BoolVar(&un.KeepBinary, "keep-binary", false, "keep the binary: only take the plugin out of the networks")
	flags.BoolVar(&un.Force, "force", false, "remove the binary even if pods need it")
	cmd.MarkFlagsMutuallyExclusive("keep-binary", "force")
	return cmd
}

// forced returns the command with --force beside the flags that it was given.
func forced(cmd *cobra.Command) string {
	words := []string{"bpffsctl", cmd.Name(), "--force"}
	cmd.Flags().Visit(func(f *pflag.Flag) { words = append(words, "--"+f.Name+"="+f.Value.String()) })
	return output.Command(words...)
}

// collect returns the command that removes endpoints, at the root and by what the
// runtime says if they were named. Without a runtime no list of live containers is
// to be had: whoever types it has deleted them.
func collect(root, socket string, r cnidirs.Runtime) []string {
	words := []string{"bpffsctl", "gc"}
	if root != "" {
		words = append(words, "--root", root)
	}
	switch {
	case socket != "":
		words = append(words, "--cri-socket", socket)
	case r.Socket == "" && errors.Is(r.Err, cri.ErrNoRuntime):
		words = append(words, "--live-from", os.DevNull)
	}
	return words
}

// uninstall takes the plugin out of every directory that has it. A directory that was
// named may be one in which the runtime does not look any more.
func uninstall(ctx context.Context, un install.Uninstaller, dirs cnidirs.Dirs) error {
	for _, u := range dirs.Unread() {
		if u.From != cnidirs.Given {
			return u
		}
	}
	un.ConfDir = dirs.Conf
	having := dirs.Having(conflist.PluginType)
	unseen := dirs.Silent() && !isThere(filepath.Join(having[0], conflist.PluginType))
	for _, un.BinDir = range having {
		un.NamedIn = dirs.NamedIn(un.BinDir)
		if err := un.Uninstall(ctx); err != nil {
			return err
		}
	}
	if unseen && !un.KeepBinary {
		return fmt.Errorf("%w if it is elsewhere than in %s: the runtime does not answer, and may look in another directory; "+
			"start it, then run this command again, or give the directory with --bin-dir", install.ErrKept, having[0])
	}
	return nil
}

func isThere(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
