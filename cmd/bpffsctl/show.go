package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/inventory"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/output"
)

// newShow returns the command that tells everything about one endpoint.
func newShow() *cobra.Command {
	var where placeFlags
	var format output.Format
	cmd := &cobra.Command{
		Use:   "show ID|POD|CONTAINER",
		Short: "Show everything about one endpoint, or about all of a pod or container",
		Long: `Show everything about one endpoint, or about all endpoints of a pod or container:
the bpftool commands for its maps, and what the pod sees of them in its volume.

Give the ID of an endpoint, the pod as NAMESPACE/NAME or NAME, or the beginning of a
container ID. A number that is an endpoint ID is read as such.

Exit codes: 0 nothing is wrong, 1 something is wrong, 2 there is no such endpoint,
several match, or it could not be looked at.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runShow(cmd, where, args[0], format)
		},
	}
	where.add(cmd)
	output.Flag(cmd, &format)
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return inventory.Words(cmd.Context(), where.Where), cobra.ShellCompDirectiveNoFileComp
	}
	return cmd
}

func runShow(cmd *cobra.Command, f placeFlags, word string, format output.Format) error {
	where, _ := f.find(cmd.Context())
	var which error
	all, err := inventory.Choose(cmd.Context(), where, func(all []inventory.Endpoint) (some []inventory.Endpoint) {
		some, which = inventory.Match(all, word)
		return some
	})
	if err != nil {
		return err
	}
	if which != nil {
		return which
	}
	if len(all) == 0 { // it was released while it was looked at
		return fmt.Errorf("%w any more: %.100q", inventory.ErrUnknown, word)
	}
	var bad bool
	for i := range all {
		all[i].Explain()
		bad = bad || !all[i].Is(inventory.OK)
	}
	if err := output.Write(cmd.OutOrStdout(), format, inventory.NewList(all), func(w io.Writer) error {
		return printDetails(w, all)
	}); err != nil {
		return err
	}
	if bad {
		return errFound
	}
	return nil
}

func printDetails(w io.Writer, all []inventory.Endpoint) error {
	for i := range all {
		if i > 0 {
			fmt.Fprintln(w)
		}
		if err := all[i].PrintDetail(w); err != nil {
			return err
		}
	}
	return nil
}
