package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

// newRoot returns the command with all its subcommands.
func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "bpffsctl",
		Short: "Install, look at and repair the CNI plugin bpffs on this node",
		Long: `Install, look at and repair the CNI plugin bpffs on this node.

Exit codes: 0 done, 1 done, but something is wrong or left over, 2 not done, or
called wrongly. The help of each command says more.`,
		Version:       buildVersion,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs, // an unknown command is an argument
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.AddCommand(newList(), newShow(), newGC(), newDoctor(), newInstall(), newUninstall(), newProbe(), newMetrics(), newVersion())
	root.SetFlagErrorFunc(withHelp)
	for _, cmd := range append(root.Commands(), root) {
		check := cmd.Args
		cmd.Args = func(cmd *cobra.Command, args []string) error { return withHelp(cmd, check(cmd, args)) }
	}
	return root
}

// withHelp adds to the error of a wrong call which command has the help.
func withHelp(cmd *cobra.Command, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %s --help", err, cmd.CommandPath())
}

// newVersion returns the command that says what --version does.
func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:               "version",
		Short:             "Print the version",
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "bpffsctl version %s\n", buildVersion)
			return err
		},
	}
}
