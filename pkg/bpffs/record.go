package bpffs

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"syscall"

	"github.com/cni-bpffs/cni-bpffs/internal/owned"
)

// An endpoint's record is a directory of symbolic links that nobody here follows:
// bpffs holds no files, and a link is a string in a single inode, made in one
// step. docs/design.md says what each holds.
const (
	ownerLink = "owner"    // <attachment>
	pinsLink  = "pins"     // and a number: <directory below the root>//<name>/<name>...
	mapsLink  = "maps"     // <name>.<kernel ID>/<name>...: those of the pins that PinMaps makes
	podLink   = "pod"      // <namespace>/<name>
	netNSLink = "netns"    // <path>, or noNetNS
	netNSIn   = "netns-in" // <directory><path>: which directory that path led to at ADD

	byNameDir = "by-name" // by-name/<name> -> the pin that PinMaps makes
)

// noNetNS stands for the path of a network namespace that is longer than any can be.
const noNetNS = "-"

// A record is the directory, below that of all records, of one endpoint.
type record struct {
	cni *owned.Dir
	id  uint16
	dir string
}

// A pinGroup is some of the local maps of an endpoint, without its ID, and the
// map directory that they are in, below the root.
type pinGroup struct {
	dir   string
	names []string
}

// files returns the file names of the local maps.
func (g pinGroup) files(id uint16) []string {
	files := make([]string, len(g.names))
	for i, name := range g.names {
		files[i] = LocalMapName(name, id)
	}
	return files
}

func (r record) link(name string) string { return r.dir + "/" + name }

// exists reports whether the endpoint has a record.
func (r record) exists() (bool, error) { return r.cni.Exists(r.dir) }

// owner returns the path of the attachment that has the endpoint ID.
func (r record) owner() (string, error) {
	return r.cni.Readlink(r.link(ownerLink))
}

// attachment returns the attachment that has the endpoint ID, [ErrNoEndpoint] if
// none has it.
func (r record) attachment() (Attachment, error) {
	owner, err := r.owner()
	if errors.Is(err, fs.ErrNotExist) {
		return Attachment{}, fmt.Errorf("%w: ID %d", ErrNoEndpoint, r.id)
	}
	if err != nil {
		return Attachment{}, err
	}
	a, err := parseAttachment(owner)
	if err != nil {
		return Attachment{}, fmt.Errorf("record of endpoint %d: %w", r.id, err)
	}
	return a, nil
}

// addPins adds local maps to the record. A target cannot be longer than a path, so
// it may take several links.
func (r record) addPins(g pinGroup) error {
	n, names := 0, g.names
	for len(names) > 0 {
		target := g.dir + "/"
		for len(names) > 0 && len(target)+1+len(names[0]) < maxPath {
			target += "/" + names[0]
			names = names[1:]
		}
		err := fs.ErrExist
		for ; errors.Is(err, fs.ErrExist); n++ {
			err = r.cni.Symlink(target, r.link(pinsLink+strconv.Itoa(n)))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// pins returns the local maps that the record names, in their order.
func (r record) pins() (all []pinGroup, err error) {
	for n := 0; ; n++ {
		target, err := r.cni.Readlink(r.link(pinsLink + strconv.Itoa(n)))
		if errors.Is(err, fs.ErrNotExist) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		dir, list, _ := strings.Cut(target, "//")
		g := pinGroup{dir, strings.Split(list, "/")}
		for _, name := range append(strings.Split(dir, "/"), g.names...) {
			if err := checkName(name); err != nil {
				return nil, fmt.Errorf("record of endpoint %d: %q: %w", r.id, target, err)
			}
		}
		all = append(all, g)
	}
}

// setMaps records which pins are for PinMaps to make, and the kernel's IDs of the maps
// where they are known, for people who look: as many names as fit into a link, without
// the IDs if those do not fit. No name has a dot.
func (r record) setMaps(names []string, ids map[string]uint32) error {
	words := make([]string, len(names))
	for i, name := range names {
		words[i] = name
		if id := ids[name]; id != 0 {
			words[i] += "." + strconv.FormatUint(uint64(id), 10)
		}
	}
	target := strings.Join(words, "/")
	if len(target) >= maxPath {
		target = strings.Join(names, "/")
	}
	for len(target) >= maxPath {
		target = target[:strings.LastIndexByte(target, '/')]
	}
	return r.cni.SetLink(target, r.link(mapsLink))
}

// nameMaps makes links to the pins of the maps in the map directory prefix, under
// their declared names: a loader that looks for pins by name finds the maps of the
// endpoint there.
func (r record) nameMaps(prefix string, names []string) error {
	if err := r.cni.Mkdir(r.link(byNameDir)); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	const root = "../../../../" // from endpoints/<id>/by-name below the records
	for _, name := range names {
		link := r.link(byNameDir) + "/" + name
		err := r.cni.SetLink(root+prefix+"/"+LocalMapName(name, r.id), link)
		if errors.Is(err, syscall.EINVAL) { // it is no link
			err = fmt.Errorf("%s: %w by a pin that a loader made: remove it or declare another name", r.cni.Path(link), ErrOccupied)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// maps returns those of the paths of pins that PinMaps made or was to make, and the
// kernel's IDs of the maps where they are recorded.
func (r record) maps(pins []string) (made []string, ids map[string]uint32, err error) {
	target, err := r.cni.Readlink(r.link(mapsLink))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	files := make(map[string]uint32)
	ids = make(map[string]uint32)
	for word := range strings.SplitSeq(target, "/") {
		name, digits, _ := strings.Cut(word, ".")
		id, _ := strconv.ParseUint(digits, 10, 32) // 0 where it is not recorded
		files[LocalMapName(name, r.id)] = uint32(id)
	}
	for _, pin := range pins {
		id, ours := files[path.Base(pin)]
		if !ours {
			continue
		}
		made = append(made, pin)
		if id != 0 {
			ids[pin] = id
		}
	}
	return made, ids, err
}

// setDetails records d in place of earlier details. The link of the network
// namespace comes last, and is made anew in any case: with it a new record is whole,
// and it marks the call, see [Stamp].
func (r record) setDetails(d Details) error {
	if d.Pod != "" && len(d.Pod) < maxPath {
		if err := r.cni.SetLink(d.Pod, r.link(podLink)); err != nil {
			return err
		}
	}
	netns := d.NetNS
	if len(netns) >= maxPath {
		netns = noNetNS
	}
	if netns == "" {
		return nil
	}
	if err := r.setNetNSIn(netns); err != nil {
		return err
	}
	return r.renew(netns, r.link(netNSLink))
}

// isWhole reports whether details were set: that is the last step of an ADD.
func (r record) isWhole() (bool, error) { return r.cni.Exists(r.link(netNSLink)) }

// renew makes the link name, instead of one that is there.
func (r record) renew(target, name string) error {
	err := r.cni.Symlink(target, name)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	err = r.cni.Remove(name)
	if errors.Is(err, syscall.EROFS) { // nor can anybody release the record
		return r.cni.SetLink(target, name)
	}
	if err != nil {
		return err
	}
	return r.cni.Symlink(target, name)
}

// made describes what was made with the record and stays as long as it.
func (r record) made() (owned.Stat, error) { return r.cni.Stat(r.link(ownerLink)) }

// A Stamp tells a record from another one that the same attachment has later, and
// whether details were set since.
type Stamp struct {
	made, set owned.Stat
}

// Stamp returns the stamp of the endpoint id: [fs.ErrNotExist] if it has no record.
func (e *Endpoints) Stamp(id uint16) (Stamp, error) {
	s, err := e.record(id).stamp()
	return s, e.in(err)
}

func (r record) stamp() (s Stamp, err error) {
	if s.made, err = r.made(); err != nil {
		return s, err
	}
	s.set, err = r.cni.Stat(r.link(netNSLink))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil // no details were set
	}
	return s, err
}

// details returns what setDetails recorded.
func (r record) details() (d Details, err error) {
	for _, l := range []struct {
		name string
		dst  *string
	}{{podLink, &d.Pod}, {netNSLink, &d.NetNS}} {
		*l.dst, err = r.cni.Readlink(r.link(l.name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return d, err
		}
	}
	if d.NetNS == noNetNS {
		d.NetNS = ""
	}
	return d, nil
}
