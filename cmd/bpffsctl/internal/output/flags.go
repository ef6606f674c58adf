package output

import "github.com/spf13/cobra"

// Flag gives cmd the flag --output, -o, which sets f.
func Flag(cmd *cobra.Command, f *Format) {
	cmd.Flags().VarP(f, "output", "o", "format of the output")
	Complete(cmd, "output", Formats())
}

// Complete lets the shell complete the value of a flag of cmd with the words.
func Complete(cmd *cobra.Command, flag string, words []string) {
	complete := cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)
	if err := cmd.RegisterFlagCompletionFunc(flag, complete); err != nil {
		cmd.PrintErrln("bpffsctl:", err) // there is no such flag
	}
}
