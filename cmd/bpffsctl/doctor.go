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

Each check prints one line: ok, warning or failure, and what it looked at. The line
below a warning or a failure says what to type. The command changes nothing, and ends
after a few seconds.

Exit codes: 0 no failure, 1 a failure, 2 called wrongly.`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	flags := cmd.Flags()
	addRootFlag(cmd, &f.Root)
	cmd.Flag("root").Usage = "where the bpffs is (default: what the networks say, else where the plugin mounts it)"
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
