package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/doctor"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/output"
)

type doctorFlags struct {
	doctor.Options

	format output.Format
	json   bool
}

// newDoctor returns the command that looks for faults.
func newDoctor() *cobra.Command {
	f := doctorFlags{Options: doctor.Options{Version: buildVersion}}
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Look for what is wrong on this node, and say what to type",
		Long: `Look for what is wrong on this node, and say what to type.

One line per check, with what it looked at: ok, warning or failure. Below a
warning or a failure is what to type. Nothing is changed, and nothing is waited for
longer than a few seconds.

Exit codes: 0 there is no failure, 1 there is one, 2 called wrongly.`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	flags := cmd.Flags()
	addRootFlag(cmd, &f.Root)
	cmd.Flag("root").Usage = "where the bpffs is (default: where the networks say, else where the plugin would mount it)"
	addDirFlags(cmd, &f.Request)
	output.Flag(cmd, &f.format)
	flags.BoolVar(&f.json, "json", false, "the same as --output json")
	return cmd
}

func (f *doctorFlags) run(cmd *cobra.Command) error {
	if f.json {
		f.format = output.JSON
	}
	findings := doctor.Run(cmd.Context(), f.Options)
	table := func(w io.Writer) error { return doctor.Print(w, findings) }
	if err := output.Write(cmd.OutOrStdout(), f.format, doctor.NewReport(findings), table); err != nil {
		return err
	}
	if f.format == "" || f.format == output.Table {
		fmt.Fprint(cmd.ErrOrStderr(), doctor.Sum(findings))
	}
	if doctor.Failed(findings) {
		return errFound
	}
	return nil
}
