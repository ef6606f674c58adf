package inventory

import (
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/output"
)

// PrintDetail prints all that is known of the endpoint, which was explained.
func (e *Endpoint) PrintDetail(w io.Writer) error {
	if _, err := fmt.Fprintf(w, "Endpoint %05d\n", e.ID); err != nil {
		return err
	}
	if err := e.facts().Print(w, "  "); err != nil {
		return err
	}
	if err := e.printViews(w); err != nil || len(e.Pins) == 0 {
		return err
	}
	fmt.Fprintln(w)
	pins := output.NewColumns("PIN", "KIND", "KEY", "VALUE", "ENTRIES", "FLAGS", "MEMORY", "MAP ID")
	for _, p := range e.Pins {
		pins.Row(p.row()...)
	}
	if err := pins.Print(w, "  "); err != nil {
		return err
	}
	fmt.Fprintln(w)
	for _, p := range e.Pins {
		for _, c := range p.Commands {
			fmt.Fprintln(w, "  "+output.Clean(c))
		}
	}
	return nil
}

// printViews prints what the pod sees in its volume, if it has one.
func (e *Endpoint) printViews(w io.Writer) error {
	if len(e.Views) == 0 {
		return nil
	}
	fmt.Fprintln(w)
	views := output.NewColumns("POD SEES", "CONTENTS", "MOUNTED", "PATH ON THE NODE")
	token := false
	for _, v := range e.Views {
		mounted := "no"
		if v.Mounted {
			mounted = "yes"
		}
		views.Row(v.Directory, v.Contents(), mounted, v.Path)
		token = token || v.Token
	}
	if err := views.Print(w, "  "); err != nil || !token {
		return err
	}
	_, err := fmt.Fprintln(w, "\n  A pod with a token does not see its read-only maps: its programs could write to them.")
	return err
}

func (e *Endpoint) facts() *output.Columns {
	facts := output.NewColumns()
	created := ""
	if !e.Created.IsZero() {
		created = fmt.Sprintf("%s (%s ago)", e.Created.Format(time.RFC3339), e.Age(time.Now()))
	}
	for _, f := range [][2]string{
		{"Pod:", e.Pod()},
		{"Container:", e.Container},
		{"Interface:", e.Interface},
		{"Network:", e.Network},
		{"NetNS:", e.NetNS},
		{"Created:", created},
		{"Memory:", output.Bytes(e.Memory)},
		{"Root:", e.Root},
		{"State:", e.State()},
	} {
		facts.Row(f[0], f[1])
	}
	if e.PodUID != "" {
		facts.Row("Pod UID:", e.PodUID)
	}
	if e.Error != "" {
		facts.Row("Error:", e.Error)
	}
	return facts
}

func (p *Pin) row() []string {
	kind := string(p.Kind)
	if p.Kind == Map {
		kind = p.Type
	}
	if p.Replaced {
		kind += ",replaced"
	}
	if p.Kind != Map {
		return []string{p.Path, kind, "", "", "", "", "", ""}
	}
	flags := fmt.Sprintf("%#x", p.Flags)
	if p.Frozen {
		flags += ",frozen"
	}
	number := func(n uint32) string { return strconv.FormatUint(uint64(n), 10) }
	return []string{
		p.Path, kind, number(p.KeySize), number(p.ValueSize), number(p.MaxEntries),
		flags, output.Bytes(p.Memory), number(p.MapID),
	}
}
