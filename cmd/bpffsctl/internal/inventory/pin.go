package inventory

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

// readPin returns what is at path.
func readPin(path string) Pin {
	p := Pin{Path: path}
	m, err := bpffs.ReadMap(path)
	switch {
	case err == nil:
		p.Kind, p.Type, p.MapID, p.Memory = Map, m.Spec.Type.String(), m.ID, m.Memory
		p.KeySize, p.ValueSize, p.MaxEntries = m.Spec.KeySize, m.Spec.ValueSize, m.Spec.MaxEntries
		p.Flags, p.Frozen = m.Spec.Flags, m.Spec.Frozen
	case errors.Is(err, fs.ErrNotExist):
		p.Kind = Missing
	case errors.Is(err, bpffs.ErrMapShape):
		p.Kind = Object
		if fi, err := os.Lstat(path); err == nil && fi.IsDir() {
			p.Kind = Directory
		}
	default:
		p.Kind, p.Error = Unknown, err.Error()
	}
	return p
}

// look fills in what the kernel says of the endpoint's maps, its namespace and the
// pod's volume.
func (e *Endpoint) look() {
	var missing, replaced, unmounted bool
	for i, recorded := range e.Pins {
		p := readPin(recorded.Path)
		if p.Kind == Missing && recorded.Kind == Reserved {
			p.Kind = Reserved
		}
		p.Replaced = recorded.isReplacedBy(p)
		e.Pins[i] = p
		e.Memory += p.Memory
		missing, replaced = missing || p.Kind == Missing, replaced || p.Replaced
		e.fail(p.Path, p.Error)
	}
	for _, m := range e.PodMounts {
		v := readView(e.Interface, m)
		e.Views = append(e.Views, v)
		unmounted = unmounted || v.isMissing()
		e.fail(v.Path, v.Error)
	}
	e.States = states(e.Error != "", missing, replaced, unmounted, NetNSState(e.NetNS) == NetNSIsGone)
}

// fail notes the first of what cannot be read.
func (e *Endpoint) fail(path, why string) {
	if why != "" && e.Error == "" {
		e.Error = fmt.Sprintf("%s: %s", path, why)
	}
}

// isReplacedBy reports whether the plugin made a map, and something else is there now.
// Whether it is another map only the kernel's IDs tell, where they are recorded.
func (p *Pin) isReplacedBy(now Pin) bool {
	switch {
	case p.Kind == Reserved:
		return false
	case now.Kind == Map:
		return p.MapID != 0 && p.MapID != now.MapID
	}
	return now.Kind == Directory || now.Kind == Object
}

// states returns the words for what is wrong.
func states(unreadable, missing, replaced, unmounted, gone bool) (all []State) {
	for _, s := range []struct {
		holds bool
		state State
	}{{unreadable, Unreadable}, {missing, PinMissing}, {replaced, PinReplaced}, {unmounted, VolumeMissing}, {gone, NetNSGone}} {
		if s.holds {
			all = append(all, s.state)
		}
	}
	if len(all) == 0 {
		all = []State{OK}
	}
	return all
}
