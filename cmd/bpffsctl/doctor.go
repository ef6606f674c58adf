package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/doctor"
)

// newDoctor returns the command that looks for faults.
func newDoctor() *cobra.Command {
	o := doctor.Options{Version: buildVersion}
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Look for what is wrong on this node, and say what to type",
		Long: `Look for what is wrong on this node, and say what to type.

One line per check: ok, warning or failure. It changes nothing, and waits for
nothing longer than a few seconds. Exit code 1 if there is a failure.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runDoctor(cmd, o, asJSON) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.Root, "root", "", "where the bpffs is (default: what the network configurations say)")
	flags.StringVar(&o.BinDir, "bin-dir", defaultBinDir, "where the runtime finds plugins")
	flags.StringVar(&o.ConfDir, "conf-dir", defaultConfDir, "where the runtime finds networks")
	flags.StringVar(&o.CRISocket, "cri-socket", "", "the runtime's CRI socket (default: the usual places)")
	flags.BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func runDoctor(cmd *cobra.Command, o doctor.Options, asJSON bool) error {
	findings := doctor.Run(cmd.Context(), o)
	show := printFindings
	if asJSON {
		show = printJSON
	}
	if err := show(cmd.OutOrStdout(), findings); err != nil {
		return err
	}
	if doctor.Failed(findings) {
		return errFound
	}
	return nil
}

// printFindings prints one line for each check, and below what is not ok what to
// type.
func printFindings(w io.Writer, findings []doctor.Finding) error {
	for _, f := range findings {
		if _, err := fmt.Fprintf(w, "%-8s %-20s %s: %s\n", f.Status, f.Check, f.Looked, f.Detail); err != nil {
			return err
		}
		if f.Cure == "" {
			continue
		}
		if _, err := fmt.Fprintf(w, "%8s %20s → %s\n", "", "", f.Cure); err != nil {
			return err
		}
	}
	return nil
}

func printJSON(w io.Writer, findings []doctor.Finding) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(findings)
}
