package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/gc"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/input"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/inventory"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/output"
)

// startTime is how old an endpoint must be to be taken for lost: kubelet gives
// up on a pod's sandbox after four minutes.
const startTime = 5 * time.Minute

// errNotRemoved says that gc could not do all it was to do; the report has why.
var errNotRemoved = errors.New("some endpoints could not be removed, see above")

// errNotRead says that gc could not look at a record.
var errNotRead = errors.New("some records cannot be read; bpffsctl doctor says what to do")

type gcFlags struct {
	where    placeFlags
	liveFrom string
	sockets  []string
	options  gc.Options
	yes      bool
	format   output.Format
}

// newGC returns the command that removes the endpoints of lost containers.
func newGC() *cobra.Command {
	var f gcFlags
	cmd := &cobra.Command{
		Use:   "gc",
		Short: "Remove the endpoints of containers that are gone; a dry run without --yes",
		Long: `Remove the endpoints of containers that are gone, with their maps.

The command asks the runtime for its containers. Every other container is gone. These
endpoints of other containers are listed, but stay:

  - younger than --older-than
  - with a network namespace that still exists
  - on a network without a live container: it may belong to another runtime

Without --yes nothing is changed.

Exit codes: 0 no endpoint is lost, or all lost ones were removed, 1 there is something
to remove (without --yes), 2 something could not be looked at or removed.`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	flags := cmd.Flags()
	f.where.add(cmd)
	output.Flag(cmd, &f.format)
	flags.BoolVar(&f.yes, "yes", false, "remove, instead of saying what would be removed")
	flags.StringSliceVar(&f.sockets, "cri-socket", nil, "the runtime's CRI socket, or several (default: all at the usual places)")
	flags.StringVar(&f.liveFrom, "live-from", "", "file with the IDs of the live containers, one a line, - for standard input; the runtime is then only asked if --cri-socket is given, too")
	flags.StringSliceVar(&f.options.Networks, "network", nil, "only endpoints on these networks (default: networks with a live container)")
	flags.DurationVar(&f.options.OlderThan, "older-than", startTime, "keep younger endpoints: their containers may still be starting")
	flags.BoolVar(&f.options.Force, "force", false, "also remove endpoints whose network namespace exists, or is unknown")
	flags.BoolVar(&f.options.AllowEmpty, "allow-empty", false, "also remove endpoints if no container is alive; needs --network")
	return cmd
}

func (f *gcFlags) run(cmd *cobra.Command) error {
	if f.options.OlderThan < 0 {
		return fmt.Errorf("--older-than %v: must not be negative", f.options.OlderThan)
	}
	ctx := cmd.Context()
	if len(f.sockets) > 0 {
		f.where.socket = f.sockets[0]
	}
	where, _ := f.where.find(ctx)
	// In this order: what starts in between is then in the second list, too.
	records, err := inventory.Records(ctx, where)
	if err != nil {
		return err
	}
	live, err := f.live(ctx, cmd.InOrStdin())
	if err != nil {
		return err
	}
	all, err := gc.Decide(records, live, inventory.NetNSState, time.Now(), f.options)
	if err != nil {
		return err
	}
	if f.yes {
		gc.Do(ctx, all, f.options.Stays)
	}
	if err := output.Write(cmd.OutOrStdout(), f.format, gc.NewReport(all, !f.yes), func(w io.Writer) error {
		return gc.Print(w, all)
	}); err != nil {
		return err
	}
	return f.sum(cmd.ErrOrStderr(), all)
}

// live returns the containers that are alive.
func (f *gcFlags) live(ctx context.Context, stdin io.Reader) (*gc.Live, error) {
	live := &gc.Live{}
	if f.liveFrom != "" {
		list, err := input.Read(ctx, f.liveFrom, stdin)
		if err != nil {
			return nil, fmt.Errorf("the list of live containers: %w", err)
		}
		if err := live.ReadList(bytes.NewReader(list)); err != nil {
			return nil, err
		}
	}
	if f.liveFrom == "" || len(f.sockets) > 0 {
		if err := live.Ask(ctx, f.sockets); err != nil {
			return nil, err
		}
	}
	return live, nil
}

// sum says on standard error what came of it all, and how to go on.
func (f *gcFlags) sum(stderr io.Writer, all []gc.Decision) error {
	fmt.Fprint(stderr, gc.Sum(all))
	if gc.Count(all, gc.Failed) > 0 {
		return errNotRemoved
	}
	if slices.ContainsFunc(all, func(d gc.Decision) bool { return d.Err != nil }) {
		return errNotRead
	}
	if gc.Count(all, gc.Remove) > 0 {
		fmt.Fprintln(stderr, "nothing was changed; --yes removes them")
		return errFound
	}
	return nil
}
