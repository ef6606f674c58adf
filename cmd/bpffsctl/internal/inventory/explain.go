package inventory

import (
	"fmt"
	"slices"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/output"
)

// Explain adds to each pin the commands by which a person looks at it.
func (e *Endpoint) Explain() {
	for i := range e.Pins {
		e.Pins[i].Commands = e.Pins[i].commands()
	}
}

func (p *Pin) commands() []string {
	path := output.Quote(p.Path)
	switch p.Kind {
	case Map:
		show := "bpftool map show pinned " + path
		if slices.Contains(withoutDump(), p.Type) {
			return []string{show}
		}
		return []string{show, "bpftool map dump pinned " + path}
	case Directory:
		return []string{"ls -l " + path}
	case Object:
		return []string{fmt.Sprintf("bpftool prog show pinned %s || bpftool link show pinned %s", path, path)}
	}
	return nil
}

// withoutDump returns the types of maps that have nothing to look up by a key.
func withoutDump() []string {
	return []string{"ringbuf", "user_ringbuf", "arena", "bloom_filter"}
}
