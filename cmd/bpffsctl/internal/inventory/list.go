package inventory

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/output"
)

// listVersion goes up when a field of the JSON form goes away or changes its
// meaning, not when one is added.
const listVersion = 1

// A List is what machines read.
type List struct {
	Version   int        `json:"version"`
	Endpoints []Endpoint `json:"endpoints"`
}

// NewList returns the list of the endpoints.
func NewList(all []Endpoint) List {
	if all == nil {
		all = []Endpoint{} // not null
	}
	return List{listVersion, all}
}

// Is reports whether the endpoint is in the state.
func (e *Endpoint) Is(s State) bool { return slices.Contains(e.States, s) }

// State returns the states in one word.
func (e *Endpoint) State() string {
	words := make([]string, len(e.States))
	for i, s := range e.States {
		words[i] = string(s)
	}
	return strings.Join(words, ",")
}

// Sum returns lines that say how many endpoints there are, what they need, and
// what is wrong with those that cannot be read.
func Sum(all []Endpoint) string {
	var memory uint64
	var bad, none int
	var b strings.Builder
	for i := range all {
		e := &all[i]
		memory += e.Memory
		switch {
		case e.Is(NoEndpoint):
			none++
		case !e.Is(OK):
			bad++
		}
		if e.Error != "" {
			fmt.Fprintf(&b, "endpoint %05d at %s: %s\n", e.ID, output.Clean(e.Root), output.Clean(e.Error))
		}
	}
	if len(all) == 0 {
		return "no endpoints\n"
	}
	fmt.Fprintf(&b, "endpoints: %d, %s; not ok: %d", len(all)-none, output.Bytes(memory), bad)
	if none > 0 {
		fmt.Fprintf(&b, "; pods without an endpoint: %d", none)
	}
	b.WriteByte('\n')
	return b.String()
}
