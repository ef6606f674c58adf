package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/install"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/output"
)

type probeFlags struct {
	statusFile string
	live       bool
}

// newProbe returns the command that kubelet runs to see whether the plugin is installed.
func newProbe() *cobra.Command {
	var f probeFlags
	cmd := &cobra.Command{
		Use:   "probe",
		Short: "Say whether install --watch has installed the plugin, for probes of Kubernetes",
		Long: `Say whether install --watch has installed the plugin, for probes of Kubernetes.

It reads the file that install --watch --status-file writes. It prints nothing if the
plugin is installed, else the reason. With --live it only says whether install --watch
still looks at the node.

Exit codes: 0 yes, 1 no, 2 the file cannot be read.`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.statusFile, "status-file", "", "the file that install --watch writes, as given there")
	flags.BoolVar(&f.live, "live", false, "ask only whether install --watch still looks at the node")
	_ = cmd.MarkFlagRequired("status-file")
	return cmd
}

func (f *probeFlags) run(cmd *cobra.Command) error {
	s, err := install.ReadStatus(f.statusFile)
	if err != nil {
		return fmt.Errorf("reading --status-file: %w: does install --watch run with this --status-file?", err)
	}
	check := s.Installed
	if f.live {
		check = s.Live
	}
	if why := check(time.Now()); why != nil {
		if _, err := fmt.Fprintln(cmd.OutOrStdout(), output.Clean(why.Error())); err != nil {
			return err
		}
		return errFound
	}
	return nil
}
