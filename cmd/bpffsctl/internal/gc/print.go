package gc

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/inventory"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/output"
)

// reportVersion goes up when a field of the JSON form goes away or changes its
// meaning, not when one is added.
const reportVersion = 1

// A Report is what machines read.
type Report struct {
	Version   int     `json:"version"`
	DryRun    bool    `json:"dryRun"`
	Endpoints []Entry `json:"endpoints"` // whose containers are not alive
}

// An Entry is one decision.
type Entry struct {
	inventory.Identity

	Action Action `json:"action"`
	Reason string `json:"reason"`
}

// NewReport returns what machines read of the decisions.
func NewReport(all []Decision, dryRun bool) Report {
	r := Report{reportVersion, dryRun, make([]Entry, len(all))}
	for i := range all {
		r.Endpoints[i] = Entry{all[i].Identity(), all[i].Action, all[i].Reason}
	}
	return r
}

// Print prints the decisions as a table.
func Print(w io.Writer, all []Decision) error {
	c := output.NewColumns("ID", "NETWORK", "POD", "CONTAINER", "IFACE", "AGE", "ACTION", "REASON")
	for i := range all {
		d := &all[i]
		e := d.Identity()
		c.Row(output.ID(e.ID), e.Network, e.Pod(), inventory.ShortContainer(e.Container), e.Interface,
			e.Age(time.Now()), string(d.Action), d.Reason)
	}
	return c.Print(w, "")
}

// Count returns how many decisions are for the action.
func Count(all []Decision, a Action) (n int) {
	for _, d := range all {
		if d.Action == a {
			n++
		}
	}
	return n
}

// Sum returns a line that says how many of each there are.
func Sum(all []Decision) string {
	var words []string
	for _, a := range []Action{Remove, Removed, Spare, Failed} {
		if n := Count(all, a); n > 0 {
			words = append(words, fmt.Sprintf("%s: %d", a, n))
		}
	}
	if len(words) == 0 {
		return "no endpoint is lost\n"
	}
	return strings.Join(words, ", ") + "\n"
}
