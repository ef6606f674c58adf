package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/inventory"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/output"
)

type listFlags struct {
	where           placeFlags
	format          output.Format
	sortBy          string
	filter          inventory.Filter
	wide, noHeaders bool
}

// newList returns the command that lists the endpoints.
func newList() *cobra.Command {
	var f listFlags
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List the endpoints of this node: whose they are, their maps and their states",
		Long: `List the endpoints of this node: whose they are, their maps and their states.

Each endpoint has one line. MAPS has the types of its maps and their numbers of
entries. The states:

  ok
  pin-missing     somebody removed a map that the plugin made
  pin-replaced    the pin of a map is another one now
  volume-missing  the pod's maps are no longer mounted in its volume
  netns-gone      the container's network namespace is gone
  no-endpoint     a pod of the runtime has no endpoint; only if its network has bpffs
  unreadable      the record cannot be read

Exit codes: 0 listed, whatever the states are, 2 something could not be listed.`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	flags := cmd.Flags()
	f.where.add(cmd)
	flags.StringVar(&f.where.socket, "cri-socket", "", "the runtime's CRI socket, to find pods without an endpoint (default: the usual places)")
	output.Flag(cmd, &f.format)
	flags.BoolVarP(&f.wide, "wide", "w", false, "print whole container IDs, and the path of each map")
	flags.BoolVar(&f.noHeaders, "no-headers", false, "print no headers and no summary")
	flags.StringVar(&f.sortBy, "sort-by", "id", "id, pod, container, network, age (oldest first) or memory (largest first)")
	flags.StringVar(&f.filter.Pod, "pod", "", "only endpoints of the pod NAMESPACE/NAME, or NAME in any namespace")
	flags.StringVar(&f.filter.Container, "container", "", "only endpoints of containers whose ID begins like this")
	flags.StringVar(&f.filter.Network, "network", "", "only endpoints of this network")
	flags.StringSliceVar(&f.filter.States, "state", nil, "only endpoints in one of these states")
	flags.BoolVar(&f.filter.Problems, "problems", false, "only endpoints that are not ok")
	cmd.MarkFlagsMutuallyExclusive("problems", "state")
	output.Complete(cmd, "sort-by", inventory.Orders())
	output.Complete(cmd, "state", inventory.States())
	return cmd
}

func (f *listFlags) run(cmd *cobra.Command) error {
	if err := f.filter.Check(); err != nil {
		return err
	}
	order, err := inventory.ByName(f.sortBy)
	if err != nil {
		return err
	}
	all, err := f.look(cmd.Context(), cmd.ErrOrStderr())
	all = f.filter.ApplyStates(all)
	order.Sort(all)
	if werr := output.Write(cmd.OutOrStdout(), f.format, inventory.NewList(all), func(w io.Writer) error {
		return inventory.Print(w, all, f.wide, f.noHeaders)
	}); werr != nil {
		return werr
	}
	f.sum(cmd.ErrOrStderr(), all, err)
	return err
}

// look returns the wanted endpoints, and the pods that have none.
func (f *listFlags) look(ctx context.Context, stderr io.Writer) ([]inventory.Endpoint, error) {
	l, err := f.where.look(ctx, f.filter.Apply, stderr)
	return append(l.endpoints, f.filter.Apply(l.lacking)...), err
}

// sum says below a table how many there are.
func (f *listFlags) sum(stderr io.Writer, all []inventory.Endpoint, err error) {
	switch isTable := f.format == "" || f.format == output.Table; {
	case !isTable || f.noHeaders || err != nil && len(all) == 0:
	case f.filter.Problems && len(all) == 0:
		fmt.Fprintln(stderr, "no endpoint with a problem")
	case f.filter.IsSet() && len(all) == 0:
		fmt.Fprintln(stderr, "no such endpoint")
	default:
		fmt.Fprint(stderr, inventory.Sum(all))
	}
}
