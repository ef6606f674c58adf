package main

import (
	"context"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/inventory"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/metrics"
)

// newMetrics returns the command that prints metrics of the node.
func newMetrics() *cobra.Command {
	var f placeFlags
	cmd := &cobra.Command{
		Use:   "metrics",
		Short: "Print metrics of this node in Prometheus' text format",
		Long: `Print metrics of this node in Prometheus' text format, for the textfile collector of
node_exporter.

They count what list shows. If something cannot be looked at, bpffs_look_success is 0,
and the rest is printed.

Exit codes: 0 printed, 2 something could not be looked at.`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			look, err := f.measure(cmd.Context(), cmd.ErrOrStderr())
			if werr := metrics.Write(cmd.OutOrStdout(), metrics.Node{Version: buildVersion, Look: look}); werr != nil {
				return werr
			}
			return err
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&f.socket, "cri-socket", "", "the runtime's CRI socket, to find pods without an endpoint (default: the usual places)")
	return cmd
}

// measure looks at the node once. With an error something was not seen.
func (f *placeFlags) measure(ctx context.Context, stderr io.Writer) (*metrics.Look, error) {
	start := time.Now()
	l, err := f.look(ctx, func(all []inventory.Endpoint) []inventory.Endpoint { return all }, stderr)
	return &metrics.Look{
		Network: l.network.List.Name, HasPlugin: len(l.network.Calls()) > 0,
		Roots: l.roots, Endpoints: l.endpoints, Lacking: l.lacking, PodsKnown: l.podsKnown,
		Complete: err == nil, Took: time.Since(start),
	}, err
}
