package cri

// A DropIns says what a runtime does with the drop-in files of networks.
type DropIns string

// What runtimes do with drop-in files. docs/runtimes.md has how each was tried.
const (
	DropInsUnknown DropIns = "unknown"
	DropInsRead    DropIns = "read"
	DropInsIgnored DropIns = "ignored"
	// DropInsWithoutDEL: it reads them for ADD, and takes the plugins for DEL and CHECK
	// from a cache that has the list's own only, so that a pod's maps are never removed.
	DropInsWithoutDEL DropIns = "without-del"
)

// crio is what CRI-O calls itself.
const crio = "cri-o"

// DropIns returns what the runtime does with drop-in files.
func (v Version) DropIns() DropIns {
	lib := v.Libcni()
	switch {
	case v.Runtime == crio:
		return DropInsWithoutDEL
	case !lib.Known:
		return DropInsUnknown
	case lib.DropIns:
		return DropInsRead
	}
	return DropInsIgnored
}

// PassesBroken reports whether the runtime takes the next network when it cannot read
// the first, as CRI-O does. Others have no network then.
func (v Version) PassesBroken() bool { return v.Runtime == crio }
